import type pg from 'pg'
import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'

/** A role that logs in to one database, and what it may do there. */
export interface LoginRole {
  readonly name: string
  readonly password: string
  readonly databaseName: string
  /** Group roles of sql/server/ that it is a member of. */
  readonly groups: readonly string[]
  readonly connectionsMax: number
  /** @defaultValue false */
  readonly bypassesPolicies?: boolean
  /** Settings of its sessions. @defaultValue none */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/**
 * Makes a login role that owns nothing, or gives one that exists this password and these rights. Repeatable: an attempt
 * that was interrupted before the catalog knew of it has left a role with a lost password.
 *
 * @param client an administrator's connection
 */
export async function makeLoginRole(client: pg.ClientBase, login: LoginRole): Promise<void> {
  const role = quoteIdentifier(login.name)
  const { rows } = await client.query<{
    known: boolean
    superuser: boolean
    createdb: boolean
    options: boolean
  }>(
    `select exists (select from pg_roles where rolname = $1) as known,
            (select rolsuper from pg_roles where rolname = current_user) as superuser,
            (select rolsuper or rolcreatedb from pg_roles where rolname = current_user) as createdb, ${HAS_OPTIONS} as options`,
    [login.name],
  )
  const policies = login.bypassesPolicies === true ? 'bypassrls' : 'nobypassrls'
  // Only who may create databases may say that another role may not; a new role may not anyway.
  const databases = rows[0]?.createdb === true ? 'nocreatedb' : ''
  const settings = Object.entries(login.settings ?? {})
  // One string: one round trip, and all of it or nothing.
  const statements = [
    ...(rows[0]?.known === true ? [] : [`create role ${role} nologin nosuperuser ${policies}`]),
    // Without NOSUPERUSER: only a superuser may say that of a role that exists. Sessions refuse such a login anyway.
    `alter role ${role} login ${policies} ${databases} nocreaterole inherit
       connection limit ${login.connectionsMax} password ${quoteLiteral(login.password)}`,
    rows[0]?.superuser === true
      ? // Only a superuser may; elsewhere every connection looks whether parameters are logged, and warns.
        `alter role ${role} set log_parameter_max_length = 0`
      : // Others need the role's rights to end its sessions.
        `grant ${role} to current_user with inherit true, set false`,
    ...settings.map(
      ([name, value]) => `alter role ${role} set ${quoteIdentifier(name)} = ${quoteLiteral(value)}`,
    ),
    ...login.groups.map((group) => membership(group, login.name, rows[0]?.options === true)),
    `grant connect on database ${quoteIdentifier(login.databaseName)} to ${role}`,
  ]
  await client.query(statements.join(';\n'))
}

/** Makes a role a member of a group, for its rights only. */
export async function grantGroup(client: pg.ClientBase, group: string, roleName: string): Promise<void> {
  const { rows } = await client.query<{ options: boolean }>(`select ${HAS_OPTIONS} as options`)
  await client.query(membership(group, roleName, rows[0]?.options === true))
}

/** From version 16 on a membership says what it is for. */
const HAS_OPTIONS = "current_setting('server_version_num')::integer >= 160000"

function membership(group: string, roleName: string, hasOptions: boolean): string {
  const options = hasOptions ? ' with inherit true, set false' : ''
  return `grant ${quoteIdentifier(group)} to ${quoteIdentifier(roleName)}${options}`
}
