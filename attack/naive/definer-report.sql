-- On top of shared-tables.sql: a function with its owner's rights, for a report over all tenants.
set role {{owner}};
create function app.contact_report() returns setof text
language sql security definer as $body$ select email from app.contact $body$;
reset role;
