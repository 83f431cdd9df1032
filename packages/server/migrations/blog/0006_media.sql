-- Pictures and their smaller versions. The bytes are rows of the tenant: they are read, moved, backed up and deleted with it.
create table media (
  id uuid primary key default gen_random_uuid(),
  filename text not null constraint media_filename_check check (char_length(filename) between 1 and 255),
  alt text not null default '' constraint media_alt_check check (char_length(alt) <= 200),
  uploaded_by uuid constraint media_uploaded_by_fkey references member,
  created_at timestamptz not null default now()
);
create index media_created_at_idx on media (created_at, id);
create index media_filename_idx on media (filename, id);
create index media_uploaded_by_idx on media (uploaded_by);

create table media_file (
  media_id uuid not null,
  variant text not null constraint media_file_variant_check check (variant in ('original', 'medium', 'small')),
  content_type text not null,
  width integer not null,
  height integer not null,
  data bytea not null,
  primary key (media_id, variant),
  constraint media_file_media_id_fkey foreign key (media_id) references media (id) on delete cascade
);

alter table posts
  add column featured_image_id uuid constraint posts_featured_image_id_fkey references media (id) on delete set null,
  add column featured_image_alt text constraint posts_featured_image_alt_check
    check (char_length(featured_image_alt) <= 200);
create index posts_featured_image_id_idx on posts (featured_image_id);
