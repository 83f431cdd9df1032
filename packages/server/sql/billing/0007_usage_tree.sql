-- Usage of each month, of an organization and of those below it: what the limits of a tree of organizations are held against. Who is in
-- a tree counts here before what was recorded is committed in its own place; of everybody else the roll-up does.
create table billing.usage_month (
  tenant_id uuid not null references catalog.tenant on delete cascade,
  meter text not null,
  period date not null,
  own bigint not null default 0,
  -- Of all below it, those included that were deleted since.
  below bigint not null default 0,
  primary key (tenant_id, meter, period)
);

-- An organization and those above it, the nearest first.
create function billing.line_of(start uuid) returns uuid[] language sql stable as $$
  with recursive line (id, parent_id, height) as (
    select id, parent_id, 0 from catalog.tenant where id = start
    union all
    select tenant.id, tenant.parent_id, line.height + 1
      from line join catalog.tenant on tenant.id = line.parent_id
     where line.height < 20
  )
  select coalesce(array_agg(id order by height), '{}') from line
$$;

create function billing.children_of(parent uuid)
  returns table (id uuid, slug text, name text, state text) language sql stable as $$
  select id, slug, name, state from catalog.tenant where parent_id = parent
$$;

-- Counts that an organization has used so much of a month, and with it all above it; or counts nothing, when one of them may not have as
-- much. Said again, it changes nothing; a lower sum, of what was not committed after all, is taken as it is.
create function billing.count_usage(counted uuid, of_meter text, of_period date, total bigint, allowed jsonb)
  returns table (organization uuid, plan text, used bigint, refused boolean) language plpgsql as $$
declare
  line uuid[];
  added bigint;
  refuses boolean;
begin
  -- No organization gets another parent meanwhile.
  perform pg_advisory_xact_lock_shared(hashtextextended('billing usage tree', 0));
  line := billing.line_of(counted);
  -- From above downwards: so no two counts wait for each other.
  insert into billing.usage_month (tenant_id, meter, period)
    select above.id, of_meter, of_period from unnest(line) with ordinality as above (id, height)
     order by above.height desc
    on conflict do nothing;
  perform from billing.usage_month as month
    join unnest(line) with ordinality as above (id, height) on above.id = month.tenant_id
   where month.meter = of_meter and month.period = of_period
   order by above.height desc for update of month;
  select total - month.own into added from billing.usage_month as month
   where month.tenant_id = counted and month.meter = of_meter and month.period = of_period;
  select added > 0 and coalesce(bool_or(month.own + month.below + added > (allowed ->> tenant.plan_id)::bigint), false)
    into refuses
    from billing.usage_month as month join catalog.tenant on tenant.id = month.tenant_id
   where month.tenant_id = any (line) and month.meter = of_meter and month.period = of_period;
  if not refuses and added <> 0 then
    update billing.usage_month as month
       set own = case when month.tenant_id = counted then total else month.own end,
           below = case when month.tenant_id = counted then month.below else month.below + added end
     where month.tenant_id = any (line) and month.meter = of_meter and month.period = of_period;
  end if;
  return query
    select month.tenant_id, tenant.plan_id, month.own + month.below,
           refuses and coalesce(month.own + month.below + added > (allowed ->> tenant.plan_id)::bigint, false)
      from billing.usage_month as month join catalog.tenant on tenant.id = month.tenant_id
     where month.tenant_id = any (line) and month.meter = of_meter and month.period = of_period;
end $$;

-- An organization takes what it and those below it have used along, to those that it is now below.
create function billing.move_usage() returns trigger language plpgsql as $$
begin
  -- Counts that have begun end before, later ones find the new parent.
  perform pg_advisory_xact_lock(hashtextextended('billing usage tree', 0));
  update billing.usage_month as month set below = month.below - moved.own - moved.below
    from billing.usage_month as moved
   where moved.tenant_id = new.id and moved.meter = month.meter and moved.period = month.period
     and month.tenant_id = any (billing.line_of(old.parent_id));
  insert into billing.usage_month (tenant_id, meter, period, below)
    select above.id, moved.meter, moved.period, moved.own + moved.below
      from unnest(billing.line_of(new.parent_id)) as above (id), billing.usage_month as moved
     where moved.tenant_id = new.id
    on conflict (tenant_id, meter, period) do update set below = usage_month.below + excluded.below;
  return null;
end $$;
create trigger move_usage after update of parent_id on catalog.tenant
  for each row when (old.parent_id is distinct from new.parent_id) execute function billing.move_usage();

-- What is known so far: the sums of hours that are over.
insert into billing.usage_month (tenant_id, meter, period, own)
  select tenant_id, meter, date_trunc('month', hour at time zone 'UTC')::date, sum(quantity)
    from billing.usage_hour group by 1, 2, 3;
insert into billing.usage_month (tenant_id, meter, period, below)
  select above.id, month.meter, month.period, sum(month.own)
    from billing.usage_month as month, unnest((billing.line_of(month.tenant_id))[2:]) as above (id)
   group by 1, 2, 3
  on conflict (tenant_id, meter, period) do update set below = excluded.below;
