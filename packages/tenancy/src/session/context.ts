/**
 * How the tenant context is set, kept behind one seam: the statements every connection prepares, and the facts
 * that decide which of them a flush must carry.
 */

/** Prepared when a connection opens. */
export const contextStatements = {
  // Never null: the condition fails and there is no row to send.
  enter: 'select where quickscale.enter($1, $2, $3) is null',
  resetAll: 'reset all',
  unlockAll: 'select pg_catalog.pg_advisory_unlock_all()',
} as const

/** What a session may do is asked, never assumed: a REVOKE by a role without the right to it only warns. */
export const openingFacts = `
  select pg_catalog.has_function_privilege('pg_catalog.set_config(text,text,boolean)', 'execute') as set_config_allowed,
         pg_catalog.has_function_privilege('pg_catalog.pg_advisory_lock(bigint)', 'execute') as advisory_locks_allowed,
         pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) as server_seconds,
         current_user::text as role_name,
         role.rolsuper as superuser, role.rolbypassrls as bypasses_policies,
         pg_catalog.current_setting('log_parameter_max_length') <> '0'
           and (pg_catalog.current_setting('log_statement') = 'all'
                or pg_catalog.current_setting('log_min_duration_statement') <> '-1'
                or pg_catalog.current_setting('log_duration')::boolean) as logs_parameters,
         pg_catalog.pg_has_role('quickscale_owner', 'member') as owns_tables,
         pg_catalog.pg_has_role('quickscale_seal', 'member') as owns_seal,
         exists (select from pg_catalog.pg_shdepend as owned
                  where owned.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                    and owned.refobjid = role.oid and owned.deptype = 'o'
                    and owned.classid in ('pg_catalog.pg_class'::pg_catalog.regclass,
                                          'pg_catalog.pg_proc'::pg_catalog.regclass,
                                          'pg_catalog.pg_namespace'::pg_catalog.regclass)
                    and owned.dbid = (select oid from pg_catalog.pg_database
                                       where datname = pg_catalog.current_database())) as owns_objects
    from pg_catalog.pg_roles as role
   where role.rolname = current_user`

/** Facts about one connection. */
export interface OpeningFacts {
  readonly setConfigAllowed: boolean
  readonly advisoryLocksAllowed: boolean
  /** The server may write tokens, which are parameters, to its log. */
  readonly logsParameters: boolean
  /** Server clock minus ours, in seconds. */
  readonly clockOffsetSeconds: number
  readonly roleName: string
  /** Why the role must not be used for tenants, or null. */
  readonly roleProblem: string | null
}

export function readOpeningFacts(row: Record<string, unknown>): OpeningFacts {
  const problems = [
    row.superuser === true && 'it is a superuser',
    row.bypasses_policies === true && 'it has BYPASSRLS',
    row.owns_tables === true && 'it is a member of quickscale_owner',
    row.owns_seal === true && 'it is a member of quickscale_seal',
    row.owns_objects === true && 'it owns tables, functions or schemas here',
  ].filter((problem) => problem !== false)
  return {
    setConfigAllowed: row.set_config_allowed !== false,
    advisoryLocksAllowed: row.advisory_locks_allowed !== false,
    logsParameters: row.logs_parameters === true,
    clockOffsetSeconds: Number(row.server_seconds) - Date.now() / 1000,
    roleName: String(row.role_name),
    roleProblem: problems.length > 0 ? problems.join(', ') : null,
  }
}
