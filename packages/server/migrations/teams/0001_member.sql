-- The people of this tenant, a copy of what the catalog knows of them: tenancy.members.deliver() writes it.
create table member (
  user_id uuid primary key,
  name text not null,
  email text,
  role text not null,
  active boolean not null,
  version bigint not null
);
create index member_name_idx on member (name, user_id);
