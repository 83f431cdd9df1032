-- On top of shared-tables.sql: a schema for extensions that everybody searches and may create in.
drop schema if exists extensions cascade;
create schema extensions;
grant usage, create on schema extensions to {{app}};
