create table customer (
  id integer primary key,
  email text not null unique,
  name text not null,
  "Grö ße" integer not null default 1,
  region integer not null default 1
);
create index customer_name on customer (name text_pattern_ops);
create table purchase (
  shop integer,
  number integer,
  customer_id integer references customer (id),
  total integer not null,
  note text not null default '',
  primary key (shop, number)
);
create table remark (id integer primary key deferrable, body text not null, words tsvector, data jsonb);
create index remark_words on remark using gin (words);
create index remark_data on remark using gin (data jsonb_path_ops);
create view customer_names as select id, name from customer;
