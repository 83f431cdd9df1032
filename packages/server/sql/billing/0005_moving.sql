-- Which process moves the tenant to its plan, and until when that is believed. A settlement begins the move and goes; until it ends,
-- others leave it alone, unless something else was chosen.
alter table billing.subscription
  add column moving_by uuid,
  add column moving_until timestamptz,
  add check ((moving_by is null) = (moving_until is null));
