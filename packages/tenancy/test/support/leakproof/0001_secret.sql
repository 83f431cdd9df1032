create table secret (
  id integer not null,
  body text not null default '',
  words tsvector not null default '',
  data jsonb not null default 'null'
);
