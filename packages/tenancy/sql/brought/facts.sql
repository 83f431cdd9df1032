-- What decides whether this database can become a tenant's own: one row. $1 the extensions that the migrations want.
select pg_catalog.current_database()::text as database,
       (select system_identifier::text from pg_catalog.pg_control_system()) as system,
       database.oid::text as oid,
       extract(epoch from pg_catalog.pg_postmaster_start_time())::text as "startedAt",
       pg_catalog.pg_encoding_to_char(database.encoding)::text as encoding,
       database.datistemplate or database.datname = 'postgres' as maintenance,
       pg_catalog.pg_is_in_recovery() as recovering,
       pg_catalog.current_setting('default_transaction_read_only')::boolean as "readOnly",
       pg_catalog.current_setting('session_replication_role') <> 'origin' as "triggersOff",
       coalesce((select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()), false) as encrypted,
       pg_catalog.pg_has_role(database.datdba, 'usage') as "ownsDatabase",
       pg_catalog.has_database_privilege(database.oid, 'create') as "mayCreate",
       array(select wanted.name
               from pg_catalog.unnest($1::text[]) as wanted (name)
              where not exists (select from pg_catalog.pg_available_extension_versions as available
                                 where available.name = wanted.name
                                   and (not available.superuser or available.trusted
                                        or (select rolsuper from pg_catalog.pg_roles where rolname = current_user)))
              order by wanted.name) as "extensionsMissing"
  from pg_catalog.pg_database as database
 where database.datname = pg_catalog.current_database()
