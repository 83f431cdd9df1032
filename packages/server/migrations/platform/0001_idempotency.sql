-- Answers to requests that carried an Idempotency-Key, so that repeating one repeats its answer and not its work. They are
-- kept with the tenant, in the transaction that did the work, and go wherever the tenant goes.
create table idempotency_key (
  actor text not null,
  key text not null constraint idempotency_key_key_check check (char_length(key) between 1 and 255),
  -- SHA-256 of method, path and body.
  request bytea not null,
  -- Null until the work is done, which nobody else sees.
  status integer,
  location text,
  body text,
  created_at timestamptz not null default now(),
  primary key (actor, key)
);
create index idempotency_key_created_at_idx on idempotency_key (created_at);
