-- Read by `point` and `page`; never written while anything is timed.
create table contact (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  email text not null,
  created_at timestamptz not null default now()
);
create index contact_created_at_idx on contact (created_at, id);

-- Written by `insert`, so that what the other queries read does not grow.
create table message (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  email text not null,
  created_at timestamptz not null default now()
);
create index message_created_at_idx on message (created_at, id);
