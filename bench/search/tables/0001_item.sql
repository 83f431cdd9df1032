create extension pg_trgm;
create type stage as enum ('s0', 's1', 's2', 's3', 's4');
create table item (
  id bigint primary key,
  price numeric(12, 2) not null,
  stage stage not null,
  name text not null,
  body text not null,
  words tsvector not null generated always as (to_tsvector('simple', body)) stored,
  data jsonb not null
);
