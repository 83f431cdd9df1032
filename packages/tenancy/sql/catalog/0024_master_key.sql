-- A fingerprint of the master key that the installation was made with: nobody who comes with another one replaces the keys of
-- databases, or encrypts what others could not read. It is derived from 32 random bytes, and so tells nothing of them.
create table catalog.master_key (
  only_row boolean primary key default true check (only_row),
  fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$')
);
