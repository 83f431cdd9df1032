-- On top of shared-tables.sql: a function with its owner's rights that names types without their schema, where
-- everybody may make temporary ones, which are found first.
set role {{owner}};
create function app.checksum_of(value text) returns text
language plpgsql security definer as $body$
declare
  digest bytea := sha256(convert_to(value, 'UTF8'));
begin
  return encode(digest, 'hex');
end
$body$;
reset role;
