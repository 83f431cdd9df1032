-- Owners and authors are members now. Their names are in one place, where they can change and be forgotten: the columns
-- that repeated them go, and what was written before has no owner or author.
alter table deals
  drop column owner,
  add column owner_id uuid constraint deals_owner_id_fkey references member;
create index deals_owner_id_idx on deals (owner_id);

alter table contact_notes
  drop column author,
  add column author_id uuid constraint contact_notes_author_id_fkey references member;
create index contact_notes_author_id_idx on contact_notes (author_id);

alter table deal_notes
  drop column author,
  add column author_id uuid constraint deal_notes_author_id_fkey references member;
create index deal_notes_author_id_idx on deal_notes (author_id);
