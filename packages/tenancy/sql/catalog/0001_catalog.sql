-- The control plane: who the tenants are, and where each of them lives. The truth about a tenant's place is the
-- fence inside its database; what stands here routes to it.

create schema catalog;

create table catalog.version (
  number integer primary key,
  name text not null,
  applied_at timestamptz not null default now()
);

create table catalog.plan (
  id text primary key,
  strategy text not null check (strategy in ('rls', 'schema', 'database'))
);

create table catalog.server (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  host text not null,
  port integer not null,
  created_at timestamptz not null default now()
);

create table catalog.database (
  id uuid primary key default gen_random_uuid(),
  server_id uuid not null references catalog.server,
  name text not null,
  -- shared: many tenants, as rows or schemas. silo: one tenant. template: what silos are cloned from.
  kind text not null check (kind in ('shared', 'silo', 'template')),
  login_role text not null,
  -- The login role's password in an envelope: see credentials.ts. Never plain text.
  credential jsonb,
  ready boolean not null default false,
  created_at timestamptz not null default now(),
  unique (server_id, name)
);

create table catalog.tenant (
  id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  name text not null check (name <> '' and length(name) <= 200),
  plan_id text not null references catalog.plan,
  parent_id uuid references catalog.tenant,
  state text not null default 'provisioning'
    check (state in ('provisioning', 'active', 'suspended', 'archived', 'deleting', 'deleted')),
  created_at timestamptz not null default now(),
  check (parent_id <> id)
);
create index tenant_plan on catalog.tenant (plan_id, slug);
create index tenant_state on catalog.tenant (state, slug);
create index tenant_parent on catalog.tenant (parent_id);

create table catalog.placement (
  tenant_id uuid primary key references catalog.tenant,
  strategy text not null check (strategy in ('rls', 'schema', 'database')),
  database_id uuid not null references catalog.database,
  schema_name text not null,
  epoch integer not null check (epoch > 0)
);
create index placement_database on catalog.placement (database_id);

create table catalog.audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  action text not null,
  tenant_id uuid,
  details jsonb not null default '{}'
);
create index audit_tenant on catalog.audit (tenant_id, id);
