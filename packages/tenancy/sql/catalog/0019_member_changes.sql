-- Processes remember who is what in a tenant. Whatever changes that is announced. The payload begins with @, then the
-- tenant's uuid and the user's.

create function catalog.announce_member() returns trigger language plpgsql as $body$
begin
  perform pg_notify('quickscale_changes',
                    concat_ws(' ', '@', coalesce(new.tenant_id, old.tenant_id), coalesce(new.user_id, old.user_id)));
  return null;
end
$body$;
create trigger announce after insert or delete on catalog.member
  for each row execute function catalog.announce_member();
create trigger announce_change after update on catalog.member
  for each row when ((old.role, old.active) is distinct from (new.role, new.active))
  execute function catalog.announce_member();
