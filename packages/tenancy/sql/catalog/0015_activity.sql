-- How much each tenant does: the milliseconds for which its work has had a connection, fading within a week. Processes add to it
-- now and then; what one of them had yet to add when it ended is lost.
create table catalog.activity (
  tenant_id uuid primary key references catalog.tenant on delete cascade,
  work double precision not null,
  at timestamptz not null
);

-- What is left of it by now.
create function catalog.faded(activity catalog.activity) returns double precision language sql stable as $body$
  select activity.work * exp(-extract(epoch from now() - activity.at)::double precision / 604800)
$body$;
