create table secret (
  id integer primary key,
  body text not null default '',
  words tsvector not null default '',
  data jsonb not null default 'null'
);
