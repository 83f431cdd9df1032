-- Who belongs to a tenant, for its tables to refer to. The truth is here; each tenant's place has a copy, its table
-- `member`, which follows: what has changed is noted in member_outbox in the same transaction, and delivered from there.
create table catalog.member (
  tenant_id uuid not null references catalog.tenant on delete cascade,
  user_id uuid not null,
  name text not null check (char_length(name) between 1 and 200),
  email text check (char_length(email) between 3 and 254),
  role text not null check (char_length(role) between 1 and 64),
  active boolean not null default true,
  -- Name and e-mail address are gone for good.
  anonymised boolean not null default false check (not anonymised or (email is null and not active)),
  -- Grows with each change: of two deliveries the newer one counts, in whatever order they arrive.
  version bigint not null default 1 check (version > 0),
  primary key (tenant_id, user_id)
);
create index member_user on catalog.member (user_id);

-- One row for each member whose copy is older; it names the version to be delivered, not what to deliver.
create table catalog.member_outbox (
  tenant_id uuid not null,
  user_id uuid not null,
  version bigint not null,
  attempts integer not null default 0,
  due_at timestamptz not null default clock_timestamp(),
  -- The code of the last failure, never its words: they may quote a row.
  failure text,
  primary key (tenant_id, user_id),
  foreign key (tenant_id, user_id) references catalog.member on delete cascade
);
create index member_outbox_due on catalog.member_outbox (due_at, tenant_id, user_id);

create function catalog.note_member() returns trigger language plpgsql as $body$
begin
  insert into catalog.member_outbox (tenant_id, user_id, version) values (new.tenant_id, new.user_id, new.version)
    on conflict (tenant_id, user_id) do update
       set version = excluded.version, attempts = 0, due_at = excluded.due_at, failure = null;
  return null;
end
$body$;
create trigger note_member after insert or update on catalog.member
  for each row execute function catalog.note_member();

-- A deleted tenant keeps its row, but nothing about people.
create function catalog.forget_members() returns trigger language plpgsql as $body$
begin
  delete from catalog.member where tenant_id = new.id;
  return null;
end
$body$;
create trigger forget_members after update of state on catalog.tenant
  for each row when (new.state = 'deleted') execute function catalog.forget_members();
