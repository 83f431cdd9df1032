/**
 * Logins to a tenant database beside the application's own, each for one purpose. Made when they are first needed, so
 * that an installation without fleet queries or scripts has none.
 */
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { decrypt, encrypt } from '../catalog/credentials.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { LoginPurpose } from '../catalog/tables.ts'
import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { furtherLoginName, type Workshop } from './strategy.ts'

/** A role that can log in, and its password. */
export interface Login {
  readonly role: string
  readonly password: string
}

/** What distinguishes the logins of a purpose. */
interface LoginKind {
  readonly groups: (database: DatabaseRecord) => readonly string[]
  readonly bypassesPolicies: boolean
  readonly settings: Readonly<Record<string, string>>
}

const kinds: Readonly<Record<LoginPurpose, LoginKind>> = {
  reader: {
    groups: () => ['quickscale_reader'],
    bypassesPolicies: false,
    settings: { default_transaction_read_only: 'on' },
  },
  unscoped: {
    groups: ({ kind }) => ['quickscale_unscoped', kind === 'silo' ? 'quickscale_silo' : 'quickscale_runtime'],
    bypassesPolicies: true,
    settings: {},
  },
}

/** The login of a database for a purpose; made by the first who asks, whichever process that is. */
export async function loginFor(
  workshop: Workshop,
  database: DatabaseRecord,
  purpose: LoginPurpose,
): Promise<Login> {
  const known = await findLogin(workshop, database, purpose)
  if (known !== null) return known
  return await workshop.catalog.locked({ exclusive: `login ${database.id} ${purpose}` }, async () => {
    const made = await findLogin(workshop, database, purpose)
    if (made !== null) return made
    const login = {
      role: furtherLoginName(database.loginRole, purpose),
      password: randomBytes(24).toString('base64url'),
    }
    await workshop.servers.connected(database, (client) =>
      inTransaction(client, () => makeRole(client, database, login, kinds[purpose])),
    )
    const purposeText = credentialPurpose(database, purpose)
    const credential = JSON.stringify(await encrypt(workshop.keyProvider, login.password, purposeText))
    await workshop.catalog.db
      .insertInto('login')
      .values({ database_id: database.id, purpose, role_name: login.role, credential })
      .execute()
    return login
  })
}

async function findLogin(
  workshop: Workshop,
  database: DatabaseRecord,
  purpose: LoginPurpose,
): Promise<Login | null> {
  const row = await workshop.catalog.db
    .selectFrom('login')
    .select(['role_name', 'credential'])
    .where('database_id', '=', database.id)
    .where('purpose', '=', purpose)
    .executeTakeFirst()
  if (row === undefined) return null
  const purposeText = credentialPurpose(database, purpose)
  return { role: row.role_name, password: await decrypt(workshop.keyProvider, row.credential, purposeText) }
}

function credentialPurpose(database: DatabaseRecord, purpose: LoginPurpose): string {
  return `${purpose} login of database ${database.id}`
}

/** Repeatable: an attempt that was interrupted before the catalog knew of it has left a role with a lost password. */
async function makeRole(
  client: pg.ClientBase,
  database: DatabaseRecord,
  login: Login,
  kind: LoginKind,
): Promise<void> {
  const role = quoteIdentifier(login.role)
  const { rows } = await client.query<{ known: boolean; options: boolean; superuser: boolean }>(
    `select exists (select from pg_roles where rolname = $1) as known,
            current_setting('server_version_num')::integer >= 160000 as options,
            (select rolsuper from pg_roles where rolname = current_user) as superuser`,
    [login.role],
  )
  const [facts] = rows
  const policies = kind.bypassesPolicies ? 'bypassrls' : 'nobypassrls'
  if (facts?.known !== true) await client.query(`create role ${role} nologin nosuperuser ${policies}`)
  await client.query(
    `alter role ${role} login ${policies} nocreatedb nocreaterole inherit
       connection limit ${limits.furtherLoginConnectionsMax} password ${quoteLiteral(login.password)}`,
  )
  // Only a superuser may; elsewhere every connection looks whether parameters are logged, and warns.
  if (facts?.superuser === true) await client.query(`alter role ${role} set log_parameter_max_length = 0`)
  else await client.query(`grant ${role} to current_user with inherit true, set false`)
  for (const [name, value] of Object.entries(kind.settings)) {
    await client.query(`alter role ${role} set ${quoteIdentifier(name)} = ${quoteLiteral(value)}`)
  }
  const options = facts?.options === true ? ' with inherit true, set false' : ''
  for (const group of kind.groups(database)) await client.query(`grant ${group} to ${role}${options}`)
  await client.query(`grant connect on database ${quoteIdentifier(database.name)} to ${role}`)
}
