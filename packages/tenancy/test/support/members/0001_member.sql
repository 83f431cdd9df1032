create table member (
  user_id uuid primary key,
  name text not null,
  email text,
  role text not null,
  active boolean not null,
  version bigint not null
);
create table task (id integer primary key, owner_id uuid references member, title text);
