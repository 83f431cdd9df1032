-- The life of a tenant. The database decides which state may follow which; the library asks and reports.
--
--   provisioning ─→ active ⇄ suspended        settled: the tenant's place has followed its state. Until then the
--                     ⇅         ↓             operation that changed the state is repeated, by its caller or by
--                   archived ←──┘             tenants.sweep().
--   any of them ─→ deleting ─→ deleted        A tenant that was never active leaves no 'deleted' row behind.

create function catalog.is_legal_transition(from_state text, to_state text) returns boolean
language sql immutable as $body$
  select (from_state, to_state) in (values
    ('provisioning', 'active'), ('provisioning', 'deleting'),
    ('active', 'suspended'), ('active', 'archived'), ('active', 'deleting'),
    ('suspended', 'active'), ('suspended', 'archived'), ('suspended', 'deleting'),
    ('archived', 'active'), ('archived', 'deleting'),
    ('deleting', 'deleted'))
$body$;

alter table catalog.tenant
  add column settled boolean not null default false,
  add column activated_at timestamptz;
update catalog.tenant set settled = true, activated_at = created_at where state = 'active';
create index tenant_unsettled on catalog.tenant (id) where not settled;

-- A slug is free again when its tenant is deleted.
alter table catalog.tenant drop constraint tenant_slug_key;
create unique index tenant_slug on catalog.tenant (slug) where state <> 'deleted';

create function catalog.check_tenant_transition() returns trigger language plpgsql as $body$
begin
  case tg_op
    when 'INSERT' then
      if new.state = 'provisioning' then return new; end if;
      raise exception 'tenant % cannot begin as %', new.id, new.state using errcode = 'QS007';
    when 'DELETE' then
      if old.state = 'deleted' or (old.state = 'deleting' and old.activated_at is null) then return old; end if;
      raise exception 'tenant % cannot go while it is %', old.id, old.state using errcode = 'QS007';
    else
      if new.state <> old.state and not catalog.is_legal_transition(old.state, new.state)
         or new.state = 'deleted' and old.state <> 'deleted' and old.activated_at is null then
        raise exception 'tenant % cannot become %: it is %', old.id, new.state, old.state using errcode = 'QS007';
      end if;
      if new.state = 'active' then new.activated_at := coalesce(old.activated_at, now()); end if;
      return new;
  end case;
end
$body$;
create trigger check_transition before insert or update or delete on catalog.tenant
  for each row execute function catalog.check_tenant_transition();

-- Processes remember for half a minute where a slug leads. One that a living tenant gives up rests for a minute before
-- another tenant may have it, or requests for the second would reach the first.
create table catalog.released_slug (
  slug text primary key,
  tenant_id uuid not null references catalog.tenant on delete cascade,
  released_at timestamptz not null default clock_timestamp()
);

-- AFTER: whoever waited at the unique index for a renaming to commit sees here what it released.
create function catalog.check_slug() returns trigger language plpgsql as $body$
begin
  if exists (select from catalog.released_slug
              where slug = new.slug and tenant_id <> new.id
                and released_at > clock_timestamp() - interval '60 seconds') then
    raise exception 'slug % was given up by another tenant a moment ago', new.slug using errcode = 'QS008';
  end if;
  if tg_op = 'UPDATE' then
    insert into catalog.released_slug (slug, tenant_id) values (old.slug, old.id)
      on conflict (slug) do update set tenant_id = excluded.tenant_id, released_at = excluded.released_at;
  end if;
  return null;
end
$body$;
create trigger check_slug_of_new after insert on catalog.tenant
  for each row execute function catalog.check_slug();
create trigger check_slug_of_renamed after update of slug on catalog.tenant
  for each row when (new.slug <> old.slug) execute function catalog.check_slug();
