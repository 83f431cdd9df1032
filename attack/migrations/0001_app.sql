-- The application under attack, written for one tenant; the names are the same on the naive targets.
create table company (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint company_name_key unique,
  industry text
);
create index company_industry_idx on company (industry);

create table contact (
  id uuid primary key default gen_random_uuid(),
  company_id uuid not null constraint contact_company_id_fkey references company on delete cascade,
  email text not null constraint contact_email_key unique,
  amount numeric not null
);

create table note (
  id bigint generated always as identity primary key,
  contact_id uuid constraint note_contact_id_fkey references contact on delete set default,
  body text not null
);

create view contact_overview as
select contact.email, company.name from contact join company on company.id = contact.company_id;
