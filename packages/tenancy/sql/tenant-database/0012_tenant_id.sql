-- The default of tenant_id, asked for each row that is written. plpgsql puts SELECT before what it returns, so that may have a
-- FROM: without a sub-select there is one plan node less.
set local role quickscale_seal;

create or replace function quickscale.tenant_id() returns uuid
language plpgsql stable parallel safe as $body$
begin
  return context.tenant_id from quickscale.context;
end
$body$;

reset role;
