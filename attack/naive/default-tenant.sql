-- On top of shared-tables.sql: composite keys, but a referential action that sets the tenant too, to its default.
set role {{owner}};
alter table app.note alter column tenant_id set default {{victim}}::uuid;
alter table app.contact add unique (tenant_id, id);
alter table app.note drop constraint note_contact_id_fkey,
  add foreign key (tenant_id, contact_id) references app.contact (tenant_id, id) on delete set default;
reset role;
