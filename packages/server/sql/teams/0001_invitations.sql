-- Who has been asked to become a member of an organization. The token is in the mail only.
create table teams.invitation (
  id uuid primary key default gen_random_uuid(),
  tenant_id uuid not null references catalog.tenant on delete cascade,
  -- In lower case: one invitation per address.
  email text not null check (email = lower(email)),
  role text not null check (role in ('viewer', 'member', 'admin', 'owner')),
  -- SHA-256 of the token.
  digest bytea not null unique,
  invited_by uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  unique (tenant_id, email)
);
