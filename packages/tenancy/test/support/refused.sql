--- Migrations that are refused: what it is | kind and object of the refusal [| first version that knows it].
--- In SQL {notes} stands for a plain table notes (id, body, amount); a complete table known (id, name) exists.
--- In objects `schema.` stands for the name of the schema.
-- a column named tenant_id | column | notes.tenant_id
create table notes (id integer primary key, tenant_id integer)
-- a table with a reserved name | table | quickscale_notes
create table quickscale_notes (id integer primary key)
-- a column with a reserved name | column | notes.quickscale_a
{notes} alter table notes add quickscale_a text
-- an index with a reserved name | index | quickscale_a
{notes} create index quickscale_a on notes (body)
-- a constraint with a reserved name | constraint | notes.quickscale_full_a
{notes} alter table notes add constraint quickscale_full_a check (id > 0)
-- a constraint with a reserved name on a complete table | constraint | known.quickscale_a
alter table known add constraint quickscale_a check (id > 0)
-- a sequence with a reserved name | sequence | quickscale_a
create table notes (id integer primary key generated always as identity (sequence name quickscale_a))
-- a view with a reserved name | view | quickscale_a
create view quickscale_a as select id from known
-- rows in a new table | rows | notes
{notes} insert into notes values (1)
-- rows in a table made from a query | rows | notes
create table notes as select 1 as id; alter table notes add primary key (id)
-- an enum with a reserved name | enum | quickscale_mood
create type quickscale_mood as enum ('glad')
-- a grant on a type | grant | mood
create type mood as enum ('glad'); grant usage on type mood to quickscale_runtime
-- a domain over oid | column type | file
create domain file as oid
-- a domain that counts | default | number
create table counted (id serial primary key); create domain number as integer default nextval('counted_id_seq')
-- a domain of another schema | column type | notes.other
{notes} create domain app.strange as integer; alter table notes add other app.strange
-- a composite type with the row type of a table | column type | pair.two
create type pair as (one integer, two known)
-- a composite type with a column of type regclass | column type | pair.two
create type pair as (one integer, two regclass)
-- a cast from a type of the author | cast | (integer AS schema.mood)
create type mood as enum ('glad'); create function to_mood(integer) returns mood return 'glad'::mood; create cast (integer as mood) with function to_mood(integer)
-- the row type of a table as a column | column type | notes.known
create table notes (id integer primary key, known known)
-- an array of row types | column type | notes.known
create table notes (id integer primary key, known known[])
-- a column of type oid | column type | notes.file
create table notes (id integer primary key, file oid)
-- a column of type regclass | column type | notes.name
create table notes (id integer primary key, name regclass[])
-- a column of an information_schema domain | column type | notes.name
create table notes (id integer primary key, name information_schema.sql_identifier)
-- an extension that opens connections | extension | dblink
create extension dblink
-- an extension that nobody has reviewed | extension | bloom
create extension if not exists bloom with schema public
-- a language that is not trusted | extension | plpython3u
create extension plpython3u
-- an extension of a certain version | extension | citext
create extension citext version '1.5'
-- an extension that is dropped | extension | citext
drop extension citext
-- an extension that is updated | extension | citext
alter extension citext update
-- an extension that is moved | extension | citext
alter extension citext set schema app
-- a function with a reserved name | function | schema.quickscale_one()
create function quickscale_one() returns integer return 1
-- a function with the rights of its owner | function | schema.one()
create function one() returns integer language sql security definer return 1
-- a function that becomes another role | function | schema.one()
create function one() returns integer language sql set role = 'quickscale_migrator' return 1
-- a grant on a function | grant | schema.one()
create function one() returns integer return 1; revoke all on function one() from public
-- a function that ends the transaction | procedure | schema.one()
create procedure one() language plpgsql as $$ begin /* ; */ commit; end $$
-- a function that changes the session | function | schema.one()
create function one() returns void language plpgsql as $$ begin if true then set work_mem = '1GB'; end if; end $$
-- a function that listens | function | schema.one()
create function one() returns void language sql as 'select 1; listen channel'
-- a function that truncates | function | schema.one()
create function one() returns void language plpgsql as $$ begin truncate known; end $$
-- a function that sends notifications | function | schema.one()
create function one() returns void language plpgsql as $$ begin perform pg_catalog.pg_notify('a', 'b'); end $$
-- a function that counts with a sequence | function | schema.one()
create function one() returns bigint language plpgsql as $$ begin return nextval('some'); end $$
-- a function that names its schema | function | schema.one()
create function one() returns bigint language plpgsql as $$ begin return count(*) from {schema}.known; end $$
-- a parsed body that relies on a key | function | schema.one()
{notes} create function one() returns setof text begin atomic select body from notes group by id; end
-- a parsed body with ON CONFLICT | function | schema.one()
{notes} create function one() returns void begin atomic insert into notes values (1) on conflict (id) do nothing; end
-- a publication | publication | all_rows
create publication all_rows for all tables
-- a role | role | clerk
create role clerk
-- a setting of a role | role | quickscale_migrator
alter role quickscale_migrator set work_mem = '1GB'
-- an event trigger | event trigger | watch
create function one() returns event_trigger language plpgsql as $$ begin end $$; create event trigger watch on ddl_command_end execute function one()
-- a foreign data wrapper | foreign data wrapper | files
create foreign data wrapper files
-- a security label | security label | unnamed
{notes} security label for none on table notes is 'x'
-- a schema | schema | other
create schema other
-- an UPDATE that reads other rows | rows | known
update known set name = (select max(name) from known)
-- an UPDATE from another table | rows | known
{notes} update known set name = notes.body from notes where notes.id = known.id
-- a DELETE that looks at other rows | rows | known
delete from known where exists (select from known other where other.name = known.name and other.id < known.id)
-- an UPDATE with a function that reads | function | count_known
create function count_known() returns text language plpgsql as $$ begin return (select count(*) from known); end $$; update known set name = count_known()
-- a default that reads, evaluated over rows that exist | function | count_known
create function inner_count() returns bigint language sql as 'select count(*) from known'; create function count_known() returns text language sql as 'select inner_count()::text'; alter table known add column n text default count_known()
-- a query that reads | function | count_known
create function count_known() returns bigint begin atomic select count(*) from known; end; select count_known()
-- an aggregate with a reserved name | aggregate | schema.quickscale_total(integer)
create aggregate quickscale_total (integer) (sfunc = int4pl, stype = integer)
-- an operator | operator | schema.@@@(integer,integer)
create operator @@@ (function = int4pl, leftarg = integer, rightarg = integer)
-- a collation | collation | schema.mine
create collation mine (provider = libc, locale = 'C')
-- a conversion | conversion | schema.mine
create conversion mine for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8
-- a text search configuration | text search configuration | schema.mine
create text search configuration mine (copy = simple)
-- a text search dictionary | text search dictionary | schema.mine
create text search dictionary mine (template = simple)
-- a trigger with a reserved name | trigger | quickscale_a on schema.notes
{notes} create trigger quickscale_a before update on notes for each row execute function suppress_redundant_updates_trigger()
-- a trigger that runs in copies too | trigger | a on schema.notes
{notes} create trigger a before update on notes for each row execute function suppress_redundant_updates_trigger(); alter table notes enable always trigger a
-- a trigger with a function that is not reviewed | trigger | a on schema.notes
{notes} create trigger a after update on notes for each row execute function quickscale.keep_tenant()
-- a rule | rule | quiet on schema.notes
{notes} create rule quiet as on delete to notes do instead nothing
-- a rule on a view | rule | quiet on schema.seen
create view seen as select id from known; create rule quiet as on delete to seen do instead nothing
-- a policy | policy | notes.own
{notes} create policy own on notes using (true)
-- a policy on a complete table | tenant wall | known
create policy own on known using (true)
-- row level security by the author | row level security | notes
{notes} alter table notes enable row level security
-- an exclusion constraint by hash | exclusion constraint | notes.notes_body_excl
{notes} alter table notes add exclude using hash (body with =)
-- an exclusion constraint by SP-GiST on a complete table | exclusion constraint | known.apart
alter table known add column at point, add constraint apart exclude using spgist (at with ~=)
-- an index that names tenant_id in the middle | index | mixed
create index mixed on known (name, tenant_id)
-- an inheritance child | inheritance | child
create table child (id integer primary key) inherits (known)
-- an inheritance parent | inheritance | known
create table child (id integer primary key) inherits (known)
-- a typed table | typed table | notes
create type pair as (id integer); create table notes of pair (primary key (id))
-- a materialized view | materialized view | schema.kept
create materialized view kept as select id from known
-- an unlogged table | unlogged table | notes
create unlogged table notes (id integer primary key)
-- a temporary table | table | pg_temp.scratch
create temporary table scratch (id integer primary key)
-- extended statistics | statistics object | schema.joint
{notes} create statistics joint on id, body from notes
-- a sequence of its own | sequence | counter
create sequence counter
-- a default from a sequence of its own | default | notes.id
create sequence counter; create table notes (id integer primary key default nextval('counter'))
-- a default that hides its sequence | default | notes.id
create table notes (id integer primary key default nextval('known'::text::regclass))
-- a serial column that may be null | sequence | notes_number_seq
{notes} alter table notes add number serial; alter table notes alter number drop not null
-- a view that reads the catalogs | view | seen
create view seen as select relname from pg_class
-- a view that reads the catalogs in a subquery | view | seen
create view seen as select id from known where exists (select from pg_authid)
-- a view that reads information_schema | view | seen
create view seen as select table_name::text from information_schema.tables
-- a view that reads the sealed context | view | seen
create view seen as select tenant_id from quickscale.context
-- a view over another schema | view | seen
create view seen as select id from app.other
-- a view with nextval | view | seen
create table notes (id serial primary key); create view seen as select nextval('notes_id_seq')
-- a view that groups by a primary key, of a column that cannot be grouped by | view | seen
{notes} alter table notes add column paper json; create view seen as select id, paper, count(*) from notes group by id
-- a default calling a function of ours | default | notes.body
{notes} alter table notes alter body set default quickscale.actor_id()
-- a foreign key to another schema | foreign key | notes.notes_id_fkey
{notes} alter table notes add foreign key (id) references app.other
-- ON UPDATE SET NULL | foreign key | notes.notes_up_fkey
{notes} alter table notes add up integer references notes on update set null
-- ON UPDATE SET DEFAULT | foreign key | notes.notes_up_fkey
{notes} alter table notes add up integer references notes on update set default
-- a grant on a new table | grant | notes
{notes} grant select on notes to public
-- a grant on a column | grant | notes.body
{notes} grant select (body) on notes to quickscale_runtime
-- a grant on a complete table | grant | known
grant truncate on known to quickscale_runtime
-- a revoke on a complete table | grant | known
revoke delete on known from quickscale_runtime
-- a grant on a view | grant | seen
create view seen as select id from known; grant select on seen to public
-- a grant on a sequence | sequence | notes_id_seq
create table notes (id serial primary key); grant usage on notes_id_seq to quickscale_runtime
-- default privileges | grant | default privileges
alter default privileges grant all on tables to public
-- something left in another schema | table | app.left_behind
create table app.left_behind (id integer primary key)
-- a large object | large object | 
select lo_create(0)
-- a lost tenant_id | tenant wall | known
alter table known drop column tenant_id cascade
-- another default of tenant_id | tenant wall | known
alter table known alter tenant_id set default gen_random_uuid()
-- a changed policy | tenant wall | known
alter policy quickscale_tenant on known using (true)
-- a policy that no longer checks | tenant wall | known
alter policy quickscale_tenant on known with check (true)
-- a policy for some roles only | tenant wall | known
alter policy quickscale_tenant on known to quickscale_owner
-- row level security switched off | tenant wall | known
alter table known disable row level security
-- row level security no longer forced | tenant wall | known
alter table known no force row level security
-- a foreign key from a reference table to a table of tenants | foreign key | place.place_known_fkey
create table place (id integer primary key, known integer references known); comment on table place is '@shared'
-- a foreign key to a reference table that deletes rows of tenants | foreign key | notes.notes_place_fkey
create table place (id integer primary key); comment on table place is '@shared'; create table notes (id integer primary key, place integer references place on delete cascade)
-- a foreign key to a reference table that changes rows of tenants | foreign key | notes.notes_place_fkey
create table place (id integer primary key); comment on table place is '@shared'; create table notes (id integer primary key, place integer references place on update cascade)
-- a foreign key to a reference table that sets columns to null | foreign key | notes.notes_place_fkey
create table place (id integer primary key); comment on table place is '@shared'; create table notes (id integer primary key, place integer references place on delete set null)
-- a trigger on a reference table | trigger | copy on schema.place
create table place (id integer primary key); comment on table place is '@shared'; create function copy() returns trigger language plpgsql as $$ begin insert into known values (new.id); return new; end $$; create trigger copy after insert on place for each row execute function copy()
-- a partitioned reference table | shared table | place
create table place (id integer primary key) partition by list (id); comment on table place is '@shared'
-- a partition as a reference table | shared table | notes_1
create table notes (id integer primary key) partition by list (id); create table notes_1 partition of notes for values in (1); comment on table notes_1 is '@shared'
-- a default of a reference table that changes | default | place.at
create table place (id integer primary key, at timestamptz default now()); comment on table place is '@shared'
-- a complete table that becomes a reference table | shared table | known
comment on table known is '@shared'
-- a trigger that reads, and rows that fire it | trigger | peek
create function peek() returns trigger language plpgsql as $$ begin new.name := (select max(name) from known); return new; end $$; create trigger peek before update on known for each row execute function peek(); update known set name = name
-- a trigger on a partition below ON DELETE SET NULL | trigger | one on schema.notes_1
create table notes (id integer, known integer references known on delete set null) partition by list (id); create table notes_1 partition of notes for values in (1); create function one() returns trigger language plpgsql as $$ begin return new; end $$; create trigger one before insert on notes_1 for each row execute function one()
-- a default of a reference table that changes, without a function | default | place.on_day
create table place (id integer primary key, on_day date default current_date); comment on table place is '@shared'

-- an index without room for tenant_id | index | full_index
create table full_table (c0 integer, c1 integer, c2 integer, c3 integer, c4 integer, c5 integer, c6 integer, c7 integer, c8 integer, c9 integer, c10 integer, c11 integer, c12 integer, c13 integer, c14 integer, c15 integer, c16 integer, c17 integer, c18 integer, c19 integer, c20 integer, c21 integer, c22 integer, c23 integer, c24 integer, c25 integer, c26 integer, c27 integer, c28 integer, c29 integer, c30 integer, c31 integer);
create index full_index on full_table (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24, c25, c26, c27, c28, c29, c30, c31);
