/**
 * Logins to a tenant database beside the application's own, each for one purpose. Made when they are first needed, so
 * that an installation without fleet queries or scripts has none.
 */
import { randomBytes } from 'node:crypto'
import { decrypt, encrypt } from '../catalog/credentials.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { LoginPurpose } from '../catalog/tables.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { sessionSettings } from './brought.ts'
import { type LoginRole, makeLoginRole } from './login-roles.ts'
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
    const own = await sessionSettings(workshop, database)
    await workshop.servers.connected(database, (client) =>
      inTransaction(client, () => makeLoginRole(client, roleOf(database, purpose, login, own))),
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

function roleOf(
  database: DatabaseRecord,
  purpose: LoginPurpose,
  login: Login,
  own: Readonly<Record<string, string>>,
): LoginRole {
  const { groups, bypassesPolicies, settings } = kinds[purpose]
  return {
    name: login.role,
    password: login.password,
    databaseName: database.name,
    groups: groups(database),
    connectionsMax: limits.furtherLoginConnectionsMax,
    bypassesPolicies,
    settings: { ...own, ...settings },
  }
}
