-- Users, and how they prove who they are: the tables of better-auth, in snake case. Users belong to no tenant; where they are
-- members is in catalog.member.
create table auth.user (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  email text not null unique,
  email_verified boolean not null default false,
  image text,
  two_factor_enabled boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table auth.session (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.user on delete cascade,
  token text not null unique,
  expires_at timestamptz not null,
  ip_address text,
  user_agent text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index session_user_id on auth.session (user_id);

-- Passwords (hashed), and accounts with other providers.
create table auth.account (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.user on delete cascade,
  account_id text not null,
  provider_id text not null,
  access_token text,
  refresh_token text,
  id_token text,
  access_token_expires_at timestamptz,
  refresh_token_expires_at timestamptz,
  scope text,
  password text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index account_user_id on auth.account (user_id);

create table auth.verification (
  id uuid primary key default gen_random_uuid(),
  identifier text not null,
  value text not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index verification_identifier on auth.verification (identifier);

create table auth.two_factor (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.user on delete cascade,
  secret text not null,
  backup_codes text not null,
  verified boolean not null default true,
  failed_verification_count integer not null default 0,
  locked_until timestamptz
);
create index two_factor_user_id on auth.two_factor (user_id);

-- Keys that sign tokens; the private halves are encrypted with the application's secret.
create table auth.jwks (
  id uuid primary key default gen_random_uuid(),
  public_key text not null,
  private_key text not null,
  alg text,
  crv text,
  created_at timestamptz not null default now(),
  expires_at timestamptz
);

-- Keys of users, good for whatever they are; and clients of an organization, which are nobody's.
create table auth.api_key (
  id uuid primary key default gen_random_uuid(),
  -- SHA-256 of the key, which is shown once and kept nowhere.
  digest bytea not null unique,
  -- Its first characters, to tell it by.
  start text not null,
  name text not null check (char_length(name) between 1 and 100),
  user_id uuid references auth.user on delete cascade,
  -- The only tenant it is good for.
  tenant_id uuid references catalog.tenant on delete cascade,
  -- The most that it allows.
  role text check (role in ('viewer', 'member', 'admin', 'owner')),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  check (user_id is not null or (tenant_id is not null and role is not null))
);
create index api_key_user on auth.api_key (user_id);
create index api_key_tenant on auth.api_key (tenant_id);

-- Accounts on their way out: what is interrupted goes on from here.
create table auth.deletion (
  user_id uuid primary key,
  asked_at timestamptz not null default now()
);
