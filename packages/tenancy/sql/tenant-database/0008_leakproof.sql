-- Marks operators LEAKPROOF, so that an index can serve them beside a policy: those whose errors and notices depend on
-- neither argument, at execution as when the planner applies them to statistics. docs/internals/leakproof.md says of
-- each why, and of others why not. Only a superuser may; elsewhere the doctor tells what is missing.
do $mark$
declare
  target regprocedure;
begin
  if not (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;
  foreach target in array array[
    'pg_catalog.numeric_eq(numeric, numeric)', 'pg_catalog.numeric_ne(numeric, numeric)',
    'pg_catalog.numeric_lt(numeric, numeric)', 'pg_catalog.numeric_le(numeric, numeric)',
    'pg_catalog.numeric_gt(numeric, numeric)', 'pg_catalog.numeric_ge(numeric, numeric)',
    'pg_catalog.enum_eq(anyenum, anyenum)', 'pg_catalog.enum_ne(anyenum, anyenum)',
    'pg_catalog.enum_lt(anyenum, anyenum)', 'pg_catalog.enum_le(anyenum, anyenum)',
    'pg_catalog.enum_gt(anyenum, anyenum)', 'pg_catalog.enum_ge(anyenum, anyenum)',
    'pg_catalog.jsonb_exists(jsonb, text)', 'pg_catalog.jsonb_exists_any(jsonb, text[])',
    'pg_catalog.jsonb_exists_all(jsonb, text[])'
  ]::regprocedure[] loop
    execute pg_catalog.format('alter function %s leakproof', target);
  end loop;
end
$mark$;
