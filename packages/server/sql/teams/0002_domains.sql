-- Host names of organizations. A name is a claim until its owner has shown a token in the DNS.
create table teams.domain (
  tenant_id uuid not null references catalog.tenant on delete cascade,
  host text not null check (host = lower(host) and host ~ '^[a-z0-9.-]{4,253}$'),
  token text not null,
  created_at timestamptz not null default now(),
  verified_at timestamptz,
  primary key (tenant_id, host)
);
-- Many may claim a name, one has it.
create unique index domain_verified on teams.domain (host) where verified_at is not null;
