-- Who did what in this tenant: written in the transaction of what was done, and never changed.
create table audit_log (
  id uuid primary key default gen_random_uuid(),
  at timestamptz not null default now(),
  -- A user's id, or client:<id>.
  actor text not null,
  -- How they proved it: session, token, api-key, client, impersonation.
  credential text not null,
  -- The member of staff who acted as the actor.
  impersonator text,
  -- Method and path as declared: POST /contacts.
  action text not null,
  -- Id of the record it was about.
  entity text,
  request_id uuid not null,
  outcome text not null constraint audit_log_outcome_check check (outcome in ('done', 'refused', 'failed')),
  -- Why it was not done.
  code text
);
create index audit_log_at_idx on audit_log (at, id);
comment on table audit_log is 'Who did what. @append-only';
