-- On top of shared-tables.sql: the policy trusts a per-tenant secret, kept in a table that the application reads.
set role {{owner}};
create table app.tenant_secret (tenant_id uuid primary key, secret text not null);
insert into app.tenant_secret values ({{attacker}}, md5(random()::text)), ({{victim}}, md5(random()::text));
grant select on app.tenant_secret to {{app}};
drop policy tenant_isolation on app.contact;
create policy tenant_isolation on app.contact using (tenant_id =
  (select tenant_id from app.tenant_secret where secret = current_setting('app.secret', true)));
reset role;
