create table author (
  id integer primary key,
  name text not null unique
);
create table note (
  id integer primary key,
  body text not null default '',
  amount numeric,
  author_id integer references author (id) on delete cascade,
  created_at timestamptz not null default now()
);
create index note_created_at on note (created_at);
create view note_bodies as select id, body from note;
