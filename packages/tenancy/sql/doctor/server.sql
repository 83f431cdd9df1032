-- What is wrong with the server and the roles that all installations on it share: (check, subject, detail).
with setting as (
  select pg_catalog.current_setting('server_version_num')::integer as version,
         pg_catalog.current_setting('server_version') as version_text
)
-- Earlier ones show samples of other tenants' values through planner statistics (CVE-2025-8713).
select 'server-outdated' as "check", 'version' as subject, version_text as detail
  from setting
 where version < case version / 10000 when 15 then 150014 when 16 then 160010 when 17 then 170006 else 0 end
union all
select 'server-unsafe', name, setting
  from pg_catalog.pg_settings
 where name in ('fsync', 'full_page_writes') and setting = 'off'
union all
select 'moves-unprepared', name, setting
  from pg_catalog.pg_settings
 where name = 'wal_level' and setting <> 'logical'
union all
-- Until its disk is full: whose reader is gone for good, or a move that nobody goes on with.
select 'slot-behind', slot_name::text,
       pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn))
  from pg_catalog.pg_replication_slots
 where pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn) > $1::bigint
union all
select 'group-role-unsafe', rolname::text,
       concat_ws(', ', case when rolcanlogin then 'LOGIN' end, case when rolsuper then 'SUPERUSER' end,
                 case when rolbypassrls and rolname <> 'quickscale_migrator' then 'BYPASSRLS' end,
                 case when rolcreaterole then 'CREATEROLE' end, case when rolcreatedb then 'CREATEDB' end,
                 case when rolreplication then 'REPLICATION' end)
  from pg_catalog.pg_roles
 where rolname in ('quickscale_seal', 'quickscale_owner', 'quickscale_migrator', 'quickscale_runtime', 'quickscale_silo',
                   'quickscale_reader', 'quickscale_unscoped', 'quickscale_trigger')
   and (rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolreplication
        or (rolbypassrls and rolname <> 'quickscale_migrator'))
union all
-- Whoever is a member of one of these is past every wall; an administrator that may do the work has to be.
select 'group-role-member', member.rolname::text, granted.rolname::text
  from pg_catalog.pg_auth_members
  join pg_catalog.pg_roles as granted on granted.oid = pg_auth_members.roleid
  join pg_catalog.pg_roles as member on member.oid = pg_auth_members.member
 where granted.rolname in ('quickscale_seal', 'quickscale_owner', 'quickscale_migrator', 'quickscale_trigger')
   and not member.rolsuper and member.rolname <> current_user
   and (granted.rolname, member.rolname) not in (('quickscale_owner', 'quickscale_migrator'), ('quickscale_trigger', 'quickscale_migrator'))
