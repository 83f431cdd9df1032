create table tags (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint tags_name_key unique
    constraint tags_name_check check (char_length(name) between 1 and 50),
  created_at timestamptz not null default now()
);
create index tags_name_idx on tags (name, id);
create index tags_created_at_idx on tags (created_at, id);

create table contact_tags (
  contact_id uuid not null,
  tag_id uuid not null,
  primary key (contact_id, tag_id),
  constraint contact_tags_contact_id_fkey foreign key (contact_id) references contacts (id) on delete cascade,
  constraint contact_tags_tag_id_fkey foreign key (tag_id) references tags (id) on delete cascade
);
create index contact_tags_tag_id_idx on contact_tags (tag_id);

create table deal_tags (
  deal_id uuid not null,
  tag_id uuid not null,
  primary key (deal_id, tag_id),
  constraint deal_tags_deal_id_fkey foreign key (deal_id) references deals (id) on delete cascade,
  constraint deal_tags_tag_id_fkey foreign key (tag_id) references tags (id) on delete cascade
);
create index deal_tags_tag_id_idx on deal_tags (tag_id);

create table contact_notes (
  id uuid primary key default gen_random_uuid(),
  contact_id uuid not null,
  author text not null constraint contact_notes_author_check check (char_length(author) between 1 and 100),
  body text not null constraint contact_notes_body_check check (char_length(body) between 1 and 10000),
  created_at timestamptz not null default now(),
  constraint contact_notes_contact_id_fkey foreign key (contact_id) references contacts (id) on delete cascade
);
create index contact_notes_created_at_idx on contact_notes (created_at, id);
create index contact_notes_contact_id_idx on contact_notes (contact_id, created_at);

create table deal_notes (
  id uuid primary key default gen_random_uuid(),
  deal_id uuid not null,
  author text not null constraint deal_notes_author_check check (char_length(author) between 1 and 100),
  body text not null constraint deal_notes_body_check check (char_length(body) between 1 and 10000),
  created_at timestamptz not null default now(),
  constraint deal_notes_deal_id_fkey foreign key (deal_id) references deals (id) on delete cascade
);
create index deal_notes_created_at_idx on deal_notes (created_at, id);
create index deal_notes_deal_id_idx on deal_notes (deal_id, created_at);
