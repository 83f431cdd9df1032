-- An author who is a member is called what the member is called, so that being renamed or forgotten reaches the profile.
-- Without a member the name is a pen name, which belongs to the tenant.
alter table author_profiles
  add column member_id uuid constraint author_profiles_member_id_fkey references member;
create index author_profiles_member_id_idx on author_profiles (member_id);

create function name_author_profile() returns trigger language plpgsql as $$
begin
  -- Whoever is no member is refused by the key, after this.
  new.name := coalesce((select left(member.name, 100) from member where member.user_id = new.member_id), new.name, '?');
  return new;
end $$;
create trigger name_author_profile before insert or update on author_profiles
  for each row when (new.member_id is not null) execute function name_author_profile();

create function rename_author_profiles() returns trigger language plpgsql as $$
begin
  update author_profiles set name = left(new.name, 100) where member_id = new.user_id;
  return null;
end $$;
create trigger rename_author_profiles after update of name on member
  for each row when (new.name <> old.name) execute function rename_author_profiles();
