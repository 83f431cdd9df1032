-- What every text that matches a LIKE pattern begins with: its characters up to the first wildcard, escapes resolved.
-- For `column ^@ quickscale.like_prefix(pattern)` beside a LIKE: ^@ is LEAKPROOF, so an index can serve it under row
-- security. IMMUTABLE, so that it is a constant when the statement is planned.
set local role quickscale_seal;

create function quickscale.like_prefix(pattern text) returns text
language sql immutable strict parallel safe
return pg_catalog.regexp_replace(
  pg_catalog.substring(pattern, '^(?:[^%_\\]|\\.)*'), '\\(.)', '\1', 'g');

revoke all on function quickscale.like_prefix from public;
grant execute on function quickscale.like_prefix to quickscale_runtime, quickscale_reader, quickscale_owner, quickscale_migrator;

reset role;
