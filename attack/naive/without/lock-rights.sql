-- Ours, but everybody may take advisory locks, as PUBLIC may by default, and nobody releases those left behind.
do $grant$
declare
  target regprocedure;
begin
  for target in
    select oid::regprocedure from pg_catalog.pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_'
  loop
    execute pg_catalog.format('grant execute on function %s to public', target);
  end loop;
end
$grant$;
