-- A move that is rolled back gives the tenant the plan back that it had before.
alter table catalog.move add column plan_before_id text references catalog.plan;
