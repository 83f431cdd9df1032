-- The objects inside every database that holds tenants: fence, keys, sealed context.
-- enter() and what it calls qualify every name, operator and type: enter() sets search_path itself, so it cannot have a
-- SET clause (that would undo the setting when the function returns) and runs under its caller's. pg_temp is searched
-- first for types, and a domain's check would run with the rights of quickscale_seal.

create schema quickscale authorization quickscale_seal;
create schema app authorization quickscale_owner;
grant usage on schema quickscale to quickscale_runtime, quickscale_owner, quickscale_migrator;
grant usage, create on schema app to quickscale_migrator;
revoke all on schema public from public;

set local role quickscale_seal;

create table quickscale.version (
  number integer primary key,
  name text not null,
  applied_at timestamptz not null default pg_catalog.now()
);

-- ---------------------------------------------------------------------------------------------- keys and fence

-- HMAC-SHA256 keys, stored as the two padded blocks (key xor ipad, key xor opad) of RFC 2104.
create table quickscale.token_key (
  id text primary key check (id ~ '^[a-z0-9]{1,16}$'),
  inner_pad bytea not null check (pg_catalog.octet_length(inner_pad) = 64),
  outer_pad bytea not null check (pg_catalog.octet_length(outer_pad) = 64)
);

-- Seals the context inside one transaction; made at random for this database and never leaves it.
create table quickscale.context_key (
  single boolean primary key default true check (single),
  inner_pad bytea not null check (pg_catalog.octet_length(inner_pad) = 64),
  outer_pad bytea not null check (pg_catalog.octet_length(outer_pad) = 64)
);

-- Who lives here. The truth about a tenant's place; writers check it in enter().
create table quickscale.placement (
  tenant_id uuid primary key,
  epoch integer not null check (epoch > 0),
  state text not null check (state in ('pending', 'active', 'suspended', 'archived', 'moved', 'deleting')),
  schema_name name not null,
  destination text,
  check ((state = 'moved') = (destination is not null))
);

-- Everything enter() needs in one row, present only while the tenant is active here: derived from placement and
-- the keys by the triggers below, never written by hand. The token key is the tenant's own: HMAC(key, id).
create table quickscale.gate (
  id text collate "C" primary key,
  tenant bytea not null,
  search_path text not null,
  token_inner bytea not null,
  token_outer bytea not null,
  context_inner bytea not null,
  context_outer bytea not null
);

-- A key of at most one block, padded for HMAC (RFC 2104): each byte xor 0x36 for the inner, 0x5c for the outer block.
create function quickscale.pad_key(key bytea, pad integer) returns bytea
language plpgsql immutable strict as $body$
declare
  block pg_catalog.bytea := pg_catalog.decode(
    pg_catalog.repeat(pg_catalog.lpad(pg_catalog.to_hex(pad), 2, '0'), 64), 'hex');
begin
  for i in 0 .. pg_catalog.octet_length(key) operator(pg_catalog.-) 1 loop
    block := pg_catalog.set_byte(block, i, pg_catalog.get_byte(key, i) operator(pg_catalog.#) pad);
  end loop;
  return block;
end
$body$;

-- The gates of one tenant, or of all.
create function quickscale.open_gates(wanted uuid) returns void
language sql set search_path = pg_catalog, pg_temp as $body$
  insert into quickscale.gate
  select opened.id, pg_catalog.uuid_send(opened.tenant_id),
         pg_catalog.concat(pg_catalog.quote_ident(opened.schema_name), ', pg_temp'),
         quickscale.pad_key(opened.key, 54), quickscale.pad_key(opened.key, 92),
         opened.inner_pad, opened.outer_pad
    from (select named.*,
                 pg_catalog.sha256(named.token_outer || pg_catalog.sha256(
                   named.token_inner || pg_catalog.convert_to(named.id, 'UTF8'))) as key
            from (select placement.tenant_id, placement.schema_name,
                         pg_catalog.concat(placement.tenant_id, '|', placement.epoch, '|', token_key.id) as id,
                         token_key.inner_pad as token_inner, token_key.outer_pad as token_outer,
                         context_key.inner_pad, context_key.outer_pad
                    from quickscale.placement cross join quickscale.token_key cross join quickscale.context_key
                   where placement.state = 'active' and (wanted is null or placement.tenant_id = wanted)
                 ) as named offset 0
         ) as opened
$body$;

-- One refresh at a time: two would each miss the rows that the other has yet to commit, and a tenant suspended beside
-- a refresh of the keys would keep its gate. What follows the lock has a snapshot that is younger than the wait.
-- Readers, and FOR SHARE, go on beside this lock.
create function quickscale.refresh_gate() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  lock table quickscale.gate in share row exclusive mode;
  if tg_op <> 'INSERT' then
    delete from quickscale.gate where id like pg_catalog.concat(old.tenant_id, '|%');
  end if;
  if tg_op <> 'DELETE' then
    perform quickscale.open_gates(new.tenant_id);
  end if;
  return null;
end
$body$;
create trigger refresh_gate after insert or update or delete on quickscale.placement
  for each row execute function quickscale.refresh_gate();

create function quickscale.refresh_gates() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  lock table quickscale.gate in share row exclusive mode;
  delete from quickscale.gate;
  perform quickscale.open_gates(null);
  return null;
end
$body$;
create trigger refresh_gates after insert or update or delete on quickscale.token_key
  for each statement execute function quickscale.refresh_gates();
create trigger refresh_gates after insert or update or delete on quickscale.context_key
  for each statement execute function quickscale.refresh_gates();

-- ---------------------------------------------------------------------------------------------- sealed context
--
-- A token: gate id (tenant|epoch|key), claims, mac = HMAC(tenant's token key, claims). The claims are 16 bytes of
-- tenant id, 8 bytes of expiry as timestamptz_send gives it, then role|actor in UTF-8.
-- The context: hex of mac and claims, the mac under the database's own key and over transaction_timestamp() too.

create function quickscale.deny() returns uuid
language plpgsql volatile parallel safe as $body$
begin
  raise exception 'no sealed tenant context in this transaction'
    using errcode = 'QS006', hint = 'Reach tenant data through tenancy.tenant(key) only.';
end
$body$;

-- The context as this transaction sealed it; worth nothing in another one. A missing or forged one raises: there is
-- never a row without a seal.
create view quickscale.context with (security_barrier) as
select case
         when pg_catalog.starts_with(pg_catalog.current_setting('quickscale.context', true),
                pg_catalog.encode(pg_catalog.sha256(outer_pad operator(pg_catalog.||) pg_catalog.sha256(inner_pad
                  operator(pg_catalog.||) pg_catalog.timestamptz_send(pg_catalog.transaction_timestamp())
                  operator(pg_catalog.||) pg_catalog.substr(pg_catalog.decode(
                    pg_catalog.current_setting('quickscale.context', true), 'hex'), 33))), 'hex'))
         then pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 65, 32)::pg_catalog.uuid
         else quickscale.deny()
       end as tenant_id,
       pg_catalog.convert_from(pg_catalog.decode(
         pg_catalog.substr(pg_catalog.current_setting('quickscale.context', true), 113), 'hex'), 'UTF8') as actor
  from quickscale.context_key;

create function quickscale.tenant_id() returns uuid
language plpgsql stable parallel safe as $body$
begin
  return (select tenant_id from quickscale.context);
end
$body$;

create function quickscale.actor_id() returns text
language plpgsql stable parallel safe as $body$
begin
  return (select nullif(pg_catalog.split_part(actor, '|', 2), '') from quickscale.context where tenant_id is not null);
end
$body$;

create function quickscale.actor_role() returns text
language plpgsql stable parallel safe as $body$
begin
  return (select nullif(pg_catalog.split_part(actor, '|', 1), '') from quickscale.context where tenant_id is not null);
end
$body$;

-- A silo's policy, against accidents only: declared IMMUTABLE so that planning folds it to true and indexes stay
-- usable. A session that has not entered has another search_path, which invalidates the folded plan.
create function quickscale.gate() returns boolean
language plpgsql immutable parallel safe as $body$
begin
  return (select tenant_id is not null from quickscale.context);
end
$body$;

-- ------------------------------------------------------------------------------------------------------- enter

-- The slow path: other isolation levels, and the exact reason of a refusal. An unauthentic token learns nothing.
create function quickscale.enter_slowly(gate_id text, claims bytea, mac bytea) returns void
language plpgsql volatile as $body$
declare
  token_key quickscale.token_key;
  key pg_catalog.bytea;
  place quickscale.placement;
  opened quickscale.gate;
begin
  if gate_id is null or claims is null or mac is null
     or gate_id operator(pg_catalog.!~) '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\|[1-9][0-9]{0,8}\|[a-z0-9]{1,16}$'
     or pg_catalog.octet_length(claims) operator(pg_catalog.<) 25 then
    raise exception 'malformed tenant token' using errcode = 'QS004';
  end if;
  select * into token_key from quickscale.token_key
   where id operator(pg_catalog.=) pg_catalog.split_part(gate_id, '|', 3);
  key := pg_catalog.sha256(token_key.outer_pad operator(pg_catalog.||) pg_catalog.sha256(
    token_key.inner_pad operator(pg_catalog.||) pg_catalog.convert_to(gate_id, 'UTF8')));
  if key is null
     or mac operator(pg_catalog.<>) pg_catalog.sha256(quickscale.pad_key(key, 92)
          operator(pg_catalog.||) pg_catalog.sha256(quickscale.pad_key(key, 54) operator(pg_catalog.||) claims)) then
    raise exception 'tenant token with an invalid seal' using errcode = 'QS004';
  end if;
  if pg_catalog.substr(claims, 17, 8)
     operator(pg_catalog.<=) pg_catalog.timestamptz_send(pg_catalog.clock_timestamp()) then
    raise exception 'tenant token has expired' using errcode = 'QS005';
  end if;

  -- A snapshot taken before the lock was waited for is stale: FOR SHARE raises 40001 where the row has changed
  -- since. A READ ONLY transaction cannot write later; it reads as of its snapshot, without the lock.
  if pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed' then
    null;
  elsif pg_catalog.current_setting('transaction_read_only') operator(pg_catalog.=) 'on' then
    select * into opened from quickscale.gate where id operator(pg_catalog.=) gate_id;
  else
    perform pg_catalog.pg_advisory_xact_lock_shared(
      pg_catalog.hashtextextended(pg_catalog.left(gate_id, 36), 0));
    select * into opened from quickscale.gate where id operator(pg_catalog.=) gate_id for share;
  end if;
  if opened.id is not null then
    perform pg_catalog.set_config('quickscale.context', pg_catalog.encode(
              pg_catalog.sha256(opened.context_outer operator(pg_catalog.||) pg_catalog.sha256(opened.context_inner
                operator(pg_catalog.||) pg_catalog.timestamptz_send(pg_catalog.transaction_timestamp())
                operator(pg_catalog.||) claims)) operator(pg_catalog.||) claims, 'hex'), true),
            pg_catalog.set_config('search_path', opened.search_path, true);
    return;
  end if;

  select * into place from quickscale.placement
   where tenant_id operator(pg_catalog.=) pg_catalog.left(gate_id, 36)::pg_catalog.uuid;
  if not found then
    raise exception 'tenant % has no place in this database', pg_catalog.left(gate_id, 36) using errcode = 'QS003';
  elsif place.state operator(pg_catalog.=) 'moved' then
    raise exception 'tenant % has moved', place.tenant_id using errcode = 'QS001', detail = place.destination;
  elsif place.epoch operator(pg_catalog.<>) pg_catalog.split_part(gate_id, '|', 2)::pg_catalog.int4 then
    raise exception 'tenant % is here under another epoch', place.tenant_id using errcode = 'QS001';
  end if;
  raise exception 'tenant % is %', place.tenant_id, place.state using errcode = 'QS002', detail = place.state;
end
$body$;

-- Opens the tenant for the rest of this transaction, or raises. The lock and the row are two statements: in one, a
-- READ COMMITTED snapshot would be older than the wait for the lock. What this costs is the number of queries and,
-- within one, of function calls, each of which is set up anew per transaction: hence the packed encodings.
create function quickscale.enter(gate_id text, claims bytea, mac bytea) returns void
language plpgsql volatile security definer as $body$
begin
  if (case when pg_catalog.current_setting('transaction_isolation') operator(pg_catalog.=) 'read committed'
           then pg_catalog.pg_advisory_xact_lock_shared(
                  pg_catalog.hashtextextended(pg_catalog.left(gate_id, 36), 0)) is not null
           else false end)
  then
    -- plpgsql puts SELECT before a condition, so one may have a FROM: without a sub-select there is one plan node less.
    if pg_catalog.set_config('quickscale.context', pg_catalog.encode(
         pg_catalog.sha256(gate.context_outer operator(pg_catalog.||) pg_catalog.sha256(gate.context_inner
           operator(pg_catalog.||) pg_catalog.timestamptz_send(pg_catalog.transaction_timestamp())
           operator(pg_catalog.||) claims)) operator(pg_catalog.||) claims, 'hex'), true) is not null
       and pg_catalog.set_config('search_path', gate.search_path, true) is not null
      from quickscale.gate
     where gate.id operator(pg_catalog.=) gate_id
       and mac operator(pg_catalog.=) pg_catalog.sha256(gate.token_outer operator(pg_catalog.||)
             pg_catalog.sha256(gate.token_inner operator(pg_catalog.||) claims))
       and claims operator(pg_catalog.>) (gate.tenant operator(pg_catalog.||)
             pg_catalog.timestamptz_send(pg_catalog.clock_timestamp()))
    then
      return;
    end if;
  end if;
  perform quickscale.enter_slowly(gate_id, claims, mac);
end
$body$;

revoke all on all functions in schema quickscale from public;
grant select on quickscale.context to quickscale_runtime, quickscale_owner, quickscale_migrator;
grant execute on function quickscale.enter, quickscale.deny, quickscale.tenant_id, quickscale.actor_id,
  quickscale.actor_role, quickscale.gate to quickscale_runtime, quickscale_owner, quickscale_migrator;

reset role;

-- What migrations made this place what it is; one row per migration file and schema.
create table quickscale.migration (
  schema_name name not null,
  name text not null,
  digest text not null,
  applied_at timestamptz not null default pg_catalog.now(),
  primary key (schema_name, name)
);
alter table quickscale.migration owner to quickscale_seal;
