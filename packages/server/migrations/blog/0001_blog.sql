create table posts (
  id uuid primary key default gen_random_uuid(),
  title text not null constraint posts_title_check check (char_length(title) between 1 and 200),
  slug text not null constraint posts_slug_key unique,
  content text not null default '',
  author text not null constraint posts_author_check check (char_length(author) between 1 and 100),
  published_date timestamptz,
  created_at timestamptz not null default now(),
  constraint posts_published_content_check check (published_date is null or content <> '')
);
create index posts_published_date_idx on posts (published_date, id);
create index posts_created_at_idx on posts (created_at, id);
create index posts_title_idx on posts (title, id);
