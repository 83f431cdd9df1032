-- As crm/0003: the author of a post is a member.
alter table posts
  drop column author,
  add column author_id uuid constraint posts_author_id_fkey references member;
create index posts_author_id_idx on posts (author_id);
