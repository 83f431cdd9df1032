-- Staff who may act as users. Nothing that comes over HTTP makes an operator.
create table auth.operator (
  user_id uuid primary key references auth.user on delete cascade,
  granted_at timestamptz not null default now()
);

-- Each time that an operator may act as a user of one tenant: asked for with a token, which is redeemed once for a credential.
create table auth.impersonation (
  id uuid primary key default gen_random_uuid(),
  operator_id uuid not null,
  user_id uuid not null,
  tenant_id uuid not null references catalog.tenant on delete cascade,
  reason text not null check (char_length(reason) between 10 and 500),
  -- SHA-256 of the token, and of the credential; neither is kept.
  token_digest bytea not null unique,
  credential_digest bytea unique,
  asked_at timestamptz not null default now(),
  redeemed_at timestamptz,
  -- Of the token; once it is redeemed, of the credential.
  expires_at timestamptz not null,
  ended_at timestamptz,
  end_code text,
  -- When the end was in the tenant's log.
  noted_at timestamptz,
  check ((redeemed_at is null) = (credential_digest is null)),
  check ((ended_at is null) = (end_code is null))
);
create index impersonation_unnoted on auth.impersonation (expires_at) where noted_at is null;
create index impersonation_of_tenant on auth.impersonation (tenant_id, asked_at);

-- What may go on at this moment: one condition for whoever redeems, acts, looks or cleans up.
create view auth.valid_impersonation as
select impersonation.*
  from auth.impersonation
 where ended_at is null
   and expires_at > now()
   and exists (select from auth.operator where operator.user_id = impersonation.operator_id)
   and not exists (select from auth.operator where operator.user_id = impersonation.user_id)
   and exists (select from auth.user where "user".id = impersonation.user_id);

-- A right that was lost does not come back: what went on is over, whoever changes the operators, and however soon they change again.
create function auth.end_impersonations() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    update auth.impersonation set ended_at = now(), end_code = 'RIGHT_LOST'
     where operator_id = old.user_id and ended_at is null;
  else
    update auth.impersonation set ended_at = now(), end_code = 'RIGHT_LOST'
     where user_id = new.user_id and ended_at is null;
  end if;
  return null;
end $$;
create trigger end_impersonations after insert or delete on auth.operator
  for each row execute function auth.end_impersonations();
