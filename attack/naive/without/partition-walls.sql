-- Ours, but for partitions: as is usual, the policy is on the partitioned table only, and rights are given on all.
alter table app.event_2026 no force row level security;
alter table app.event_2026 disable row level security;
grant select, insert, update, delete on app.event_2026 to quickscale_runtime;
