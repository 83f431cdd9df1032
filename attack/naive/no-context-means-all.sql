-- On top of shared-tables.sql: whoever has no tenant is taken for an administrator.
set role {{owner}};
drop policy tenant_isolation on app.company;
drop policy tenant_isolation on app.contact;
create policy tenant_isolation on app.company
  using (coalesce(current_setting('app.current_tenant_id', true), '') in ('', tenant_id::text));
create policy tenant_isolation on app.contact
  using (coalesce(current_setting('app.current_tenant_id', true), '') in ('', tenant_id::text));
reset role;
