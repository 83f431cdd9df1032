-- Lets a trigram index serve LIKE and ILIKE beside a policy, by a hint as those of 0009_search_hints.sql:
-- `body operator(quickscale.~~) quickscale.bound_pattern(p) and body like p`. docs/internals/leakproof.md.
-- Only a superuser may; elsewhere nothing is added.
do $hints$
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;

  create domain quickscale.search_pattern as pg_catalog.text;
  create function quickscale.may_resemble(words pg_catalog.text, pattern quickscale.search_pattern) returns boolean
    language internal immutable strict parallel safe leakproof as 'btequalimage';
  create operator quickscale.~~ (leftarg = text, rightarg = quickscale.search_pattern,
    function = quickscale.may_resemble, restrict = contsel, join = contjoinsel);
  create function quickscale.bound_pattern(pattern pg_catalog.text) returns quickscale.search_pattern
    language plpgsql immutable strict parallel safe as $body$ begin return pattern; end $body$;

  alter domain quickscale.search_pattern owner to quickscale_seal;
  alter function quickscale.may_resemble owner to quickscale_seal;
  alter function quickscale.bound_pattern owner to quickscale_seal;
  alter operator quickscale.~~ (text, quickscale.search_pattern) owner to quickscale_seal;
  revoke all on function quickscale.may_resemble, quickscale.bound_pattern from public;
  grant execute on function quickscale.may_resemble, quickscale.bound_pattern
    to quickscale_runtime, quickscale_reader, quickscale_owner, quickscale_migrator;
end
$hints$;

-- Called when pg_trgm has been made, because the operator belongs to a family of that extension. Strategy 3 is LIKE;
-- ILIKE asks a trigram index for the same, which holds everything in lower case.
create function quickscale.hint_trigrams() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $body$
begin
  if (select rolsuper from pg_catalog.pg_roles where rolname = current_user)
     and pg_catalog.to_regoperator('quickscale.~~(text, quickscale.search_pattern)') is not null
     and exists (select from pg_catalog.pg_opfamily
                  where opfname = 'gin_trgm_ops' and opfnamespace = pg_catalog.to_regnamespace('extensions'))
     and not exists (select from pg_catalog.pg_amop
                      where amopopr = pg_catalog.to_regoperator('quickscale.~~(text, quickscale.search_pattern)')) then
    alter operator family extensions.gin_trgm_ops using gin
      add operator 3 quickscale.~~ (text, quickscale.search_pattern);
  end if;
end
$body$;
alter function quickscale.hint_trigrams owner to quickscale_seal;
revoke all on function quickscale.hint_trigrams from public;
select quickscale.hint_trigrams();
