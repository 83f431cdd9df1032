-- What indexes find by more than comparison, and rows that can be addressed by a part of their table.
create table document (
  id bigint generated always as identity primary key,
  title text not null,
  words tsvector,
  data jsonb
);
create index document_title_idx on document (title text_pattern_ops);
create index document_words_idx on document using gin (words);
create index document_data_idx on document using gin (data);

create table event (
  id bigint generated always as identity,
  day date not null,
  body text not null,
  primary key (id, day)
) partition by range (day);
create table event_2026 partition of event for values from ('2026-01-01') to ('2027-01-01');
