-- A database that a customer brings is on a server of the customer's, which the configuration does not name: it has a
-- server row of its own, for that one database.
alter table catalog.server
  -- Of a configured server, since its last migration: the identifier of its data directory.
  add column system text,
  -- Of a brought database: the system and the database's oid. No database is brought twice.
  add column identity text unique,
  -- Of a brought database: its administrator's URL in an envelope; see credentials.ts. Never plain text.
  add column credential jsonb,
  -- Grows when the URL is replaced: what was opened with another one is not used any more.
  add column revision integer not null default 1,
  add constraint brought_with_credential check ((identity is null) = (credential is null));
