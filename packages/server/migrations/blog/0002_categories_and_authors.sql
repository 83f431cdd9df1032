create table categories (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint categories_name_check check (char_length(name) between 1 and 100),
  slug text not null constraint categories_slug_key unique,
  created_at timestamptz not null default now()
);
create index categories_name_idx on categories (name, id);
create index categories_created_at_idx on categories (created_at, id);

create table author_profiles (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint author_profiles_name_check check (char_length(name) between 1 and 100),
  bio text not null default '' constraint author_profiles_bio_check check (char_length(bio) <= 2000),
  created_at timestamptz not null default now()
);
create index author_profiles_name_idx on author_profiles (name, id);
create index author_profiles_created_at_idx on author_profiles (created_at, id);

create table blog_tags (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint blog_tags_name_key unique
    constraint blog_tags_name_check check (char_length(name) between 1 and 50),
  created_at timestamptz not null default now()
);
create index blog_tags_name_idx on blog_tags (name, id);
create index blog_tags_created_at_idx on blog_tags (created_at, id);

alter table posts
  add column category_id uuid,
  add column author_profile_id uuid,
  add constraint posts_category_id_fkey foreign key (category_id) references categories (id) on delete set null,
  add constraint posts_author_profile_id_fkey foreign key (author_profile_id) references author_profiles (id)
    on delete set null;
create index posts_category_id_idx on posts (category_id);
create index posts_author_profile_id_idx on posts (author_profile_id);

create table post_tags (
  post_id uuid not null,
  tag_id uuid not null,
  primary key (post_id, tag_id),
  constraint post_tags_post_id_fkey foreign key (post_id) references posts (id) on delete cascade,
  constraint post_tags_tag_id_fkey foreign key (tag_id) references blog_tags (id) on delete cascade
);
create index post_tags_tag_id_idx on post_tags (tag_id);
