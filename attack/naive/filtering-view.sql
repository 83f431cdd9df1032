-- On top of shared-tables.sql: tenants are kept apart by a view with a WHERE clause, without security_barrier.
set role {{owner}};
create view app.my_contact as
select * from app.contact where tenant_id = current_setting('app.current_tenant_id')::uuid;
revoke all on app.contact from {{app}};
grant select on app.my_contact to {{app}};
reset role;
