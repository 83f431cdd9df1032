alter table posts
  -- Null: made of the content.
  add column excerpt text constraint posts_excerpt_check check (char_length(excerpt) between 1 and 500),
  add column updated_at timestamptz not null default now();
create index posts_category_published_date_idx on posts (category_id, published_date);

alter table categories
  add column description text not null default ''
    constraint categories_description_check check (char_length(description) <= 500);
