-- Work that requests leave for later: written in the transaction of what it belongs to, kept where the tenant lives, gone with it.
create table job (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  payload jsonb not null,
  -- Of several jobs that wait under one key there is one.
  key text constraint job_key_check check (char_length(key) between 1 and 200),
  -- How often it has been begun; whoever is killed at it has begun it too.
  attempts integer not null default 0,
  run_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  -- Set when it is given up.
  failed_at timestamptz,
  error text
);
create unique index job_key_idx on job (key) where key is not null and attempts = 0;
create index job_due_idx on job (run_at, id) where failed_at is null;
create index job_failed_idx on job (failed_at, id) where failed_at is not null;

-- When jobs that come by the clock came last.
create table job_schedule (
  name text primary key,
  last_run timestamptz not null
);
