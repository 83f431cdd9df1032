-- A warm database is finished but for its tenant: wall, fence, keys and login are there, for an id that the tenant who
-- claims it will have.
alter table catalog.database drop constraint database_kind_check;
alter table catalog.database
  add constraint database_kind_check check (kind in ('shared', 'silo', 'template', 'warm')),
  add column for_tenant uuid unique,
  -- What it has been brought up to: its migrations and objects; null while it is in the making.
  add column shape text,
  add constraint warm_for_tenant check (kind <> 'warm' or for_tenant is not null);
create index database_warm on catalog.database (server_id, created_at) where kind = 'warm';
