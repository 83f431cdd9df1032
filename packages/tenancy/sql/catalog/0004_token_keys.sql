-- Generations of the keys that seal tokens. Each database has its own key of each, derived from the master key by both ids.
create table catalog.token_key (
  id text primary key check (id ~ '^k[1-9][0-9]{0,14}$'),
  -- adding: on its way into all databases. sealing: new tokens are sealed with it. retiring: older tokens may still
  -- come. retired: no database accepts it.
  state text not null check (state in ('adding', 'sealing', 'retiring', 'retired')),
  since timestamptz not null default now()
);
create unique index token_key_adding on catalog.token_key (state) where state = 'adding';
create unique index token_key_sealing on catalog.token_key (state) where state = 'sealing';

insert into catalog.token_key (id, state) values ('k1', 'sealing');
