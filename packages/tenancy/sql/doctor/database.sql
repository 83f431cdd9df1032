-- What is wrong in a database that tenants live in: (check, subject, detail). Rights are asked of the server with
-- has_*_privilege, never concluded from what was granted.
--   $1 its login role   $2 id and the pads $3, $4 of the token key that belongs here   $5 the groups the login may be in
with recursive login as (
  select * from pg_catalog.pg_roles where rolname = $1
),
membership (role) as (
  select roleid from pg_catalog.pg_auth_members join login on login.oid = member
  union
  select roleid from membership join pg_catalog.pg_auth_members on member = role
),
database as (
  select * from pg_catalog.pg_database where datname = current_database()
),
gate_of as (
  select concat(tenant_id, '|', epoch, '|', token_key.id) as id
    from quickscale.placement cross join quickscale.token_key
   where state = 'active'
)
select 'login-missing' as "check", $1::text as subject, '' as detail where not exists (select from login)
union all
select 'login-unsafe', rolname::text,
       concat_ws(', ', case when rolsuper then 'SUPERUSER' end, case when rolbypassrls then 'BYPASSRLS' end,
                 case when rolcreaterole then 'CREATEROLE' end, case when rolcreatedb then 'CREATEDB' end,
                 case when rolreplication then 'REPLICATION' end)
  from login
 where rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
union all
select 'login-member', $1::text, rolname::text
  from membership join pg_catalog.pg_roles on pg_roles.oid = membership.role
 where rolname <> all ($5::text[])
union all
-- The further logins, where they have been made: see strategies/logins.ts.
select 'login-unsafe', rolname::text,
       concat_ws(', ', case when rolsuper then 'SUPERUSER' end, case when rolbypassrls then 'BYPASSRLS' end,
                 case when rolcreaterole then 'CREATEROLE' end, case when rolcreatedb then 'CREATEDB' end,
                 case when rolreplication then 'REPLICATION' end)
  from pg_catalog.pg_roles
 where rolname in ($1 || '_reader', $1 || '_unscoped')
   and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or (rolbypassrls and rolname = $1 || '_reader'))
union all
select 'login-member', further.rolname::text, granted.rolname::text
  from pg_catalog.pg_roles as further
  join pg_catalog.pg_auth_members on member = further.oid
  join pg_catalog.pg_roles as granted on granted.oid = roleid
 where (further.rolname = $1 || '_reader' and granted.rolname <> 'quickscale_reader')
    or (further.rolname = $1 || '_unscoped' and granted.rolname <> all ($5::text[] || array['quickscale_unscoped']))
union all
select 'login-owns', $1::text, concat_ws(' ', owned.type, owned.identity)
  from pg_catalog.pg_shdepend
  join login on login.oid = refobjid
  cross join lateral pg_catalog.pg_identify_object(classid, objid, objsubid) as owned
 where refclassid = 'pg_catalog.pg_authid'::regclass and deptype = 'o'
   and dbid in (0, (select oid from database))
union all
select 'database-open', current_database(), 'PUBLIC'
 where pg_catalog.has_database_privilege('public', current_database(), 'connect')
union all
select 'database-open', current_database(), stranger.rolname::text
  from pg_catalog.pg_roles as stranger
 where stranger.rolcanlogin and not stranger.rolsuper and stranger.rolname not in ($1, $1 || '_reader', $1 || '_unscoped', current_user)
   and pg_catalog.has_database_privilege(stranger.oid, current_database(), 'connect')
union all
select 'login-may-create', current_database(), privilege
  from login cross join pg_catalog.unnest(array['CREATE', 'TEMPORARY']) as privilege
 where pg_catalog.has_database_privilege(login.oid, current_database(), privilege)
union all
select 'login-may-create', nspname::text, 'CREATE'
  from login cross join pg_catalog.pg_namespace
 where nspname !~ '^pg_(toast_)?temp_' and pg_catalog.has_schema_privilege(login.oid, pg_namespace.oid, 'create')
union all
select 'seal-open', relname::text, 'table'
  from login cross join pg_catalog.pg_class
 where relnamespace = 'quickscale'::regnamespace and relkind in ('r', 'v', 'p', 'm')
   and pg_catalog.has_table_privilege(login.oid, pg_class.oid,
         case relname when 'context' then '' else 'select, ' end || 'insert, update, delete, truncate, references, trigger')
union all
select 'seal-open', pg_proc.oid::regprocedure::text, 'function'
  from login cross join pg_catalog.pg_proc
 where pronamespace = 'quickscale'::regnamespace
   and proname in ('enter_slowly', 'open_gates', 'pad_key', 'refresh_gate', 'refresh_gates')
   and pg_catalog.has_function_privilege(login.oid, pg_proc.oid, 'execute')
union all
select 'seal-owner', concat_ws(' ', made.type, made.identity), pg_catalog.pg_get_userbyid(owner)
  from (select 'pg_catalog.pg_class'::regclass as classid, oid, relowner as owner
          from pg_catalog.pg_class where relnamespace = 'quickscale'::regnamespace and relkind <> 'i'
        union all
        select 'pg_catalog.pg_proc'::regclass, oid, proowner
          from pg_catalog.pg_proc where pronamespace = 'quickscale'::regnamespace
        union all
        select 'pg_catalog.pg_namespace'::regclass, oid, nspowner
          from pg_catalog.pg_namespace where nspname = 'quickscale') as object
  cross join lateral pg_catalog.pg_identify_object(object.classid, object.oid, 0) as made
 where object.owner <> (select oid from pg_catalog.pg_roles where rolname = 'quickscale_seal')
union all
-- The functions of sql/tenant-database/0002_hardening.sql.
select 'functions-open', $1::text,
       pg_catalog.string_agg(distinct proname, ', ' order by proname)
  from login cross join pg_catalog.pg_proc
 where pronamespace = 'pg_catalog'::regnamespace
   and (proname ~ '^pg_(try_)?advisory_' or proname ~ '^(lo_.*|loread|lowrite)$'
        or proname in ('set_config', 'setseed', 'pg_notify', 'pg_logical_emit_message', 'pg_cancel_backend',
                       'pg_terminate_backend', 'currtid2', 'pg_prepared_statement', 'pg_stat_get_activity',
                       'pg_stat_get_backend_activity'))
   and pg_catalog.has_function_privilege(login.oid, pg_proc.oid, 'execute')
having pg_catalog.count(*) > 0
union all
select 'language-open', $1::text, lanname::text
  from login cross join pg_catalog.pg_language
 where lanname = 'plpgsql' and pg_catalog.has_language_privilege(login.oid, pg_language.oid, 'usage')
union all
-- The functions of sql/tenant-database/0008_leakproof.sql; in a database of one tenant they are not needed.
select 'operators-leaky', current_database(), pg_catalog.string_agg(proname, ', ' order by proname)
  from pg_catalog.pg_proc
 where pronamespace = 'pg_catalog'::regnamespace and not proleakproof and not 'quickscale_silo' = any ($5::text[])
   and proname in ('numeric_eq', 'numeric_ne', 'numeric_lt', 'numeric_le', 'numeric_gt', 'numeric_ge',
                                     'enum_eq', 'enum_ne', 'enum_lt', 'enum_le', 'enum_gt', 'enum_ge',
                                     'jsonb_exists', 'jsonb_exists_any', 'jsonb_exists_all')
having pg_catalog.count(*) > 0
union all
select 'table-right', pg_class.oid::regclass::text, 'TRUNCATE, REFERENCES or TRIGGER'
  from login cross join pg_catalog.pg_class
 where relowner = (select oid from pg_catalog.pg_roles where rolname = 'quickscale_owner') and relkind in ('r', 'v', 'p')
   and pg_catalog.has_table_privilege(login.oid, pg_class.oid, 'truncate, references, trigger')
union all
select 'table-right', pg_class.oid::regclass::text, 'a right on the sequence'
  from login cross join pg_catalog.pg_class
 where relkind = 'S' and pg_catalog.has_sequence_privilege(login.oid, pg_class.oid, 'usage, select, update')
union all
select 'token-key-missing', $2::text, ''
 where not exists (select from quickscale.token_key where id = $2 and inner_pad = $3 and outer_pad = $4)
union all
select 'context-key-missing', current_database(), '' where not exists (select from quickscale.context_key)
union all
select 'gate-stale', coalesce(gate.id, gate_of.id), case when gate.id is null then 'missing' else 'left over' end
  from gate_of full join quickscale.gate on gate.id = gate_of.id
 where gate.id is null or gate_of.id is null
union all
select 'parameters-logged', $1::text, pg_catalog.current_setting('log_parameter_max_length')
 where (pg_catalog.current_setting('log_statement') = 'all'
        or pg_catalog.current_setting('log_min_duration_statement') <> '-1'
        or pg_catalog.current_setting('log_duration')::boolean)
   and not exists (select from pg_catalog.pg_db_role_setting join login on login.oid = setrole
                    where 'log_parameter_max_length=0' = any (setconfig))
   and pg_catalog.current_setting('log_parameter_max_length') <> '0'
union all
select 'collation-changed', datname::text, concat(datcollversion, ' → ', pg_catalog.pg_database_collation_actual_version(oid))
  from database
 where datcollversion <> pg_catalog.pg_database_collation_actual_version(oid)
