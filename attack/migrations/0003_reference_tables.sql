-- What all tenants read and none writes, and rows that refer to it.
create table country (
  code text primary key,
  name text not null,
  note text default 'none'
);
comment on table country is 'Of everybody: @shared';
insert into country (code, name) values ('de', 'Germany'), ('fr', 'France');
create view country_names as select code, name from country;

create table visit (
  id bigint generated always as identity primary key,
  country_code text not null references country,
  body text
);
