-- On top of shared-tables.sql: a function with its owner's rights that everybody may call, as functions are made.
set role {{owner}};
create function app.contacts_of(wanted uuid) returns setof app.contact
language sql security definer begin atomic select * from app.contact where tenant_id = wanted; end;
reset role;
