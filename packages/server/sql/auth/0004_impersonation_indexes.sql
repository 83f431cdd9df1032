-- What goes on is little, however much has been: counted by operator, ended by the sweep and by the loss of a right.
create index impersonation_open on auth.impersonation (operator_id) where ended_at is null;
-- What is forgotten.
create index impersonation_by_age on auth.impersonation (asked_at);
-- What has ended and is not written down yet, in its order.
drop index auth.impersonation_unnoted;
create index impersonation_unnoted on auth.impersonation (ended_at) where ended_at is not null and noted_at is null;
