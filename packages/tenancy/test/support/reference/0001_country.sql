create table country (code text primary key, name text not null);
comment on table country is 'ISO 3166. @shared';
insert into country values ('DE', 'Germany'), ('FR', 'France');
alter table note add column country text references country;
