-- A process that is cut off from the catalog, but not from the tenants' servers, goes on where it remembers a slug to lead,
-- for as long as it is cut off. So nobody gets a slug that another tenant has given up, for as long as that tenant lives;
-- once it is deleted, its fence refuses whoever still comes for it.
create or replace function catalog.check_slug() returns trigger language plpgsql as $body$
begin
  if exists (select from catalog.released_slug join catalog.tenant on tenant.id = released_slug.tenant_id
              where released_slug.slug = new.slug and tenant.id <> new.id and tenant.state <> 'deleted') then
    raise exception 'slug % was given up by another tenant', new.slug using errcode = 'QS008';
  end if;
  if tg_op = 'UPDATE' then
    insert into catalog.released_slug (slug, tenant_id) values (old.slug, old.id)
      on conflict (slug) do update set tenant_id = excluded.tenant_id, released_at = excluded.released_at;
  end if;
  return null;
end
$body$;
