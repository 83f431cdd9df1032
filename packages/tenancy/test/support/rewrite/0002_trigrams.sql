create extension pg_trgm;
create index remark_body on remark using gin (body gin_trgm_ops);
