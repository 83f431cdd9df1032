-- When somebody signed up with it while registration was closed: it opens that once.
alter table teams.invitation add column signed_up_at timestamptz;
