create table item (
  id integer primary key,
  body text not null,
  -- Large values that an update leaves alone are not in the log.
  attachment text
);
create index item_body on item (body);
