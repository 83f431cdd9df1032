-- An impersonation lasts as long as the session of its operator that it was begun from (while there is only a token: asked for).
-- What has ended stays for the log, so this is no foreign key.
alter table auth.impersonation add column session_id uuid;

-- Nobody knows from which session these were begun.
update auth.impersonation set ended_at = now(), end_code = 'RIGHT_LOST' where ended_at is null;

create or replace view auth.valid_impersonation as
select impersonation.*
  from auth.impersonation
 where ended_at is null
   and expires_at > now()
   and exists (select from auth.operator where operator.user_id = impersonation.operator_id)
   and not exists (select from auth.operator where operator.user_id = impersonation.user_id)
   and exists (select from auth.user where "user".id = impersonation.user_id)
   and exists (
     select from auth.session
      where session.id = impersonation.session_id
        and session.user_id = impersonation.operator_id
        and session.expires_at > now());
