-- Logins to a tenant database beside the application's own, made when they are first needed.
create table catalog.login (
  database_id uuid not null references catalog.database on delete cascade,
  purpose text not null check (purpose in ('reader', 'unscoped')),
  role_name text not null,
  -- The password in an envelope: see credentials.ts. Never plain text.
  credential jsonb not null,
  primary key (database_id, purpose)
);
