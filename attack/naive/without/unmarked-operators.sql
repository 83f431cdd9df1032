-- Ours, but operators whose errors depend on the row may run before the policy.
alter function pg_catalog.textlike(text, text) leakproof;
alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;
alter function pg_catalog.jsonb_contains(jsonb, jsonb) leakproof;
