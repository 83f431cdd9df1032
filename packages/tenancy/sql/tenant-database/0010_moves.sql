-- A tenant on its way: what the place it leaves and the place it comes to know of the move. A row belongs to the process
-- that holds the lease; whoever takes over raises it, and what the earlier one still wants to write finds no row.

set local role quickscale_seal;

create table quickscale.move_end (
  move_id uuid not null,
  role text not null check (role in ('source', 'target')),
  tenant_id uuid not null,
  lease integer not null,
  -- Of the source, the truth about how far the move is; see src/moves/.
  state text not null,
  -- Up to where the other end's changes have been applied here, in the same transaction as they were.
  position pg_lsn,
  primary key (move_id, role)
);
create index move_end_tenant on quickscale.move_end (tenant_id);

-- From a place that has moved away there is one way back: a later epoch. Nothing else may open or close it, because the
-- tenant lives elsewhere.
create or replace function quickscale.check_transition() returns trigger
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
      if new.epoch < old.epoch then
        raise exception 'tenant % cannot go back to epoch %', old.tenant_id, new.epoch using errcode = 'QS007';
      end if;
      if old.state = 'moved' and new.state <> 'moved' then
        if new.state = 'active' and new.epoch > old.epoch + 1 then return new; end if;
        raise exception 'tenant % cannot become %: it has moved', old.tenant_id, new.state using errcode = 'QS007';
      end if;
      if new.state = old.state or quickscale.is_legal_transition(old.state, new.state) then return new; end if;
      raise exception 'tenant % cannot become %: it is %', old.tenant_id, new.state, old.state
        using errcode = 'QS007';
  end case;
end
$body$;

-- As in 0006; a tenant that was moved within this database is told its epoch and schema, until the move is over and the
-- catalog has them. Otherwise another epoch is a doubt: one of the two was restored from a backup.
create or replace function quickscale.refuse(place quickscale.placement, epoch integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  if place.state = 'moved' then
    raise exception 'tenant % has moved', place.tenant_id using errcode = 'QS001', detail = place.destination;
  elsif place.epoch <> epoch then
    raise exception 'tenant % is here under another epoch', place.tenant_id
      using errcode = 'QS001',
            detail = coalesce((select pg_catalog.json_build_object('epoch', place.epoch, 'schema', place.schema_name)
                                 from quickscale.move_end
                                where tenant_id = place.tenant_id and state in ('switched', 'returned') limit 1)::text, '');
  end if;
  -- 'active': it was opened while this was found out, as a tenant's next place is when it arrives. Asked again, it lets in.
  raise exception 'tenant % is %', place.tenant_id, place.state
    using detail = place.state,
          errcode = case when place.state in ('pending', 'active') then 'QS010' else case place.state when 'suspended' then 'QS011'
                                     when 'archived' then 'QS012' when 'deleting' then 'QS013' else 'QS002' end end;
end
$body$;

reset role;
