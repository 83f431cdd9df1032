-- On top of shared-tables.sql: tenant and actor share one setting, joined by a delimiter.
set role {{owner}};
drop policy tenant_isolation on app.contact;
create policy tenant_isolation on app.contact
  using (tenant_id = split_part(current_setting('app.context'), '|', 2)::uuid);
reset role;
