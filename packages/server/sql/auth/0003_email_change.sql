-- Addresses that users have asked to have instead of theirs. One that is confirmed is theirs; until the row is gone, organizations that
-- know them by the old one are still on the way.
create table auth.email_change (
  user_id uuid primary key references auth.user on delete cascade,
  email text not null check (email = lower(email)),
  -- SHA-256 of the token, which is in the mail only.
  digest bytea not null unique,
  asked_at timestamptz not null default now(),
  expires_at timestamptz not null,
  confirmed_at timestamptz
);
