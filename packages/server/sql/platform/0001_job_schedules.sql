-- Until when jobs that come by the clock have been handed out to the tenants.
create table platform.job_schedule (
  name text primary key,
  last_run timestamptz not null
);
