alter table companies add column updated_at timestamptz not null default now();

alter table contacts
  add column phone text constraint contacts_phone_check check (char_length(phone) <= 40),
  add column title text constraint contacts_title_check check (char_length(title) <= 100),
  add column status text not null default 'new' constraint contacts_status_check
    check (status in ('new', 'contacted', 'in_discussion', 'pending_response', 'inactive')),
  -- When the newest note on the contact was made; kept by the statements that write notes.
  add column last_contacted_at timestamptz,
  add column updated_at timestamptz not null default now();
create index contacts_first_name_idx on contacts (first_name, id);
create index contacts_status_idx on contacts (status, created_at, id);
create index contacts_last_contacted_at_idx on contacts (last_contacted_at, id);

-- Where deals go that are marked: one stage at most for each outcome.
alter table stages
  add column outcome text constraint stages_outcome_key unique
    constraint stages_outcome_check check (outcome in ('won', 'lost')),
  add constraint stages_name_check check (char_length(name) between 1 and 100);

alter table deals
  add column probability smallint not null default 50
    constraint deals_probability_check check (probability between 0 and 100),
  add column expected_close_date date,
  add column updated_at timestamptz not null default now();
create index deals_expected_close_date_idx on deals (expected_close_date, id);
