create table companies (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint companies_name_check check (char_length(name) between 1 and 200),
  website text constraint companies_website_check check (char_length(website) <= 500),
  industry text constraint companies_industry_check check (char_length(industry) <= 100),
  created_at timestamptz not null default now()
);
create index companies_name_idx on companies (name, id);
create index companies_created_at_idx on companies (created_at, id);
create index companies_industry_idx on companies (industry, id);

create table contacts (
  id uuid primary key default gen_random_uuid(),
  first_name text not null constraint contacts_first_name_check check (char_length(first_name) between 1 and 100),
  last_name text not null constraint contacts_last_name_check check (char_length(last_name) between 1 and 100),
  email text not null constraint contacts_email_check check (char_length(email) between 3 and 254),
  company_id uuid not null,
  created_at timestamptz not null default now(),
  constraint contacts_company_id_fkey foreign key (company_id) references companies (id) on delete cascade
);
create index contacts_created_at_idx on contacts (created_at, id);
create index contacts_email_idx on contacts (email, id);
create index contacts_last_name_idx on contacts (last_name, id);
create index contacts_company_id_idx on contacts (company_id);

create table stages (
  id uuid primary key default gen_random_uuid(),
  name text not null constraint stages_name_key unique,
  position integer not null constraint stages_position_key unique
);

create table deals (
  id uuid primary key default gen_random_uuid(),
  title text not null constraint deals_title_check check (char_length(title) between 1 and 200),
  amount numeric(14, 2) constraint deals_amount_check check (amount >= 0),
  contact_id uuid not null,
  stage_id uuid not null,
  owner text not null constraint deals_owner_check check (char_length(owner) between 1 and 100),
  created_at timestamptz not null default now(),
  constraint deals_contact_id_fkey foreign key (contact_id) references contacts (id) on delete restrict,
  constraint deals_stage_id_fkey foreign key (stage_id) references stages (id) on delete restrict
);
create index deals_created_at_idx on deals (created_at, id);
create index deals_amount_idx on deals (amount, id);
create index deals_title_idx on deals (title, id);
create index deals_contact_id_idx on deals (contact_id);
create index deals_stage_id_idx on deals (stage_id);
