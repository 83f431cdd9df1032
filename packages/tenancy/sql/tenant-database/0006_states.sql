-- What may become of a tenant's place, and a refusal of its own for each state in which nobody is let in.
-- The fence follows the catalog and may have missed a step, so what is closed may be closed for another reason. Nothing
-- comes back from 'deleting', and a row goes only when nobody can be inside any more.

set local role quickscale_seal;

create function quickscale.is_legal_transition(from_state text, to_state text) returns boolean
language sql immutable as $body$
  select (from_state, to_state) in (values
    ('pending', 'active'), ('pending', 'suspended'), ('pending', 'archived'), ('pending', 'deleting'),
    ('active', 'suspended'), ('active', 'archived'), ('active', 'moved'), ('active', 'deleting'),
    ('suspended', 'active'), ('suspended', 'archived'), ('suspended', 'moved'), ('suspended', 'deleting'),
    ('archived', 'active'), ('archived', 'suspended'), ('archived', 'moved'), ('archived', 'deleting'),
    ('moved', 'active'), ('moved', 'suspended'), ('moved', 'archived'), ('moved', 'deleting'))
$body$;

create function quickscale.check_transition() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  case tg_op
    when 'INSERT' then
      if new.state in ('pending', 'active') then return new; end if;
      raise exception 'tenant % cannot begin as %', new.tenant_id, new.state using errcode = 'QS007';
    when 'DELETE' then
      if old.state in ('pending', 'moved', 'deleting') then return old; end if;
      raise exception 'tenant % cannot go while it is %', old.tenant_id, old.state using errcode = 'QS007';
    else
      if new.state = old.state or quickscale.is_legal_transition(old.state, new.state) then return new; end if;
      raise exception 'tenant % cannot become %: it is %', old.tenant_id, new.state, old.state
        using errcode = 'QS007';
  end case;
end
$body$;
create trigger check_transition before insert or update or delete on quickscale.placement
  for each row execute function quickscale.check_transition();

-- Says why nobody is let in. Called by enter_slowly only, after the token has proved to be authentic.
create function quickscale.refuse(place quickscale.placement, epoch integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  if place.state = 'moved' then
    raise exception 'tenant % has moved', place.tenant_id using errcode = 'QS001', detail = place.destination;
  elsif place.epoch <> epoch then
    raise exception 'tenant % is here under another epoch', place.tenant_id using errcode = 'QS001';
  end if;
  raise exception 'tenant % is %', place.tenant_id, place.state
    using detail = place.state,
          errcode = case place.state when 'pending' then 'QS010' when 'suspended' then 'QS011'
                                     when 'archived' then 'QS012' when 'deleting' then 'QS013' else 'QS002' end;
end
$body$;

-- As in 0001, but for the refusal at the end. enter() has taken the lock where it is needed: the row is read after it,
-- in a statement of its own.
create or replace function quickscale.enter_slowly(gate_id text, claims bytea, mac bytea) returns void
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
  end if;
  perform quickscale.refuse(place, pg_catalog.split_part(gate_id, '|', 2)::pg_catalog.int4);
end
$body$;

revoke all on function quickscale.is_legal_transition, quickscale.check_transition, quickscale.refuse from public;
reset role;
