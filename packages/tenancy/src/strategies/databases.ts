import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { decrypt, encrypt } from '../catalog/credentials.ts'
import { type DatabaseRecord, findDatabase, markDatabaseReady } from '../catalog/places.ts'
import { listTokenKeys } from '../catalog/token-keys.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import type { KeyProvider } from '../key-provider.ts'
import { limits } from '../limits.ts'
import { upgradeObjects } from '../sql-files.ts'
import { inspectBrought, occupyDatabase, sessionSettings, vacateDatabase } from './brought.ts'
import { grantGroup, type LoginRole, makeLoginRole } from './login-roles.ts'
import type { Login } from './logins.ts'
import { assertMasterKey } from './master-key.ts'
import { furtherLoginName, type Holding, installationNames, type Workshop } from './strategy.ts'
import { installKeys, removeKey, tokenKeyOf } from './token-keys.ts'

/** Finds the shared database that `migrate()` has made on a server. */
export async function requireShared(workshop: Workshop, server: string): Promise<DatabaseRecord> {
  const { shared } = installationNames(workshop.installation)
  const record = await findDatabase(workshop.catalog.db, server, shared)
  if (record?.ready !== true)
    throw new QuickScaleError('NOT_INSTALLED', { installation: workshop.installation })
  return record
}

/**
 * Makes a registered database ready: created (a silo from the template), objects, keys, `furnish`, then its login
 * role; only then is it marked ready, and `finish` has the last word on the same connection: opening one to a new database
 * costs as much as all the rest. Every step can be repeated.
 *
 * @throws QuickScaleError `MASTER_KEY_WRONG`
 */
export async function buildDatabase(
  workshop: Workshop,
  record: DatabaseRecord,
  furnish: (client: pg.Client) => Promise<void>,
  finish: (client: pg.Client) => Promise<void> = async () => undefined,
): Promise<void> {
  const { servers, catalog } = workshop
  await assertMasterKey(workshop)
  await createDatabase(workshop, record)
  await servers.connected(record, async (client) => {
    if (record.kind !== 'silo') {
      // Several processes may want a further shared database at the same time: one password, one credential.
      await client.query("select pg_advisory_lock(hashtextextended('quickscale build', 0))")
      const known = await findDatabase(catalog.db, record.server, record.name)
      if (!record.ready && known?.ready === true) return
    }
    await upgradeObjects(client, 'tenant-database', 'quickscale')
    if (record.kind !== 'template') {
      for (const { id } of await listTokenKeys(catalog.db)) {
        await installKeys(client, tokenKeyOf(workshop.masterKey, record.id, id))
      }
    }
    await furnish(client)
    if (record.ready) return await finish(client)
    const password = randomBytes(24).toString('base64url')
    if (record.kind !== 'template') {
      await makeLoginRole(client, applicationRole(record, password, await sessionSettings(workshop, record)))
    }
    await markDatabaseReady(
      catalog.db,
      record.id,
      await encrypt(workshop.keyProvider, password, credentialPurpose(record)),
    )
    await finish(client)
  })
}

/** Gives a database the token keys that count now, and takes those away that do not any more. */
export async function alignKeys(
  workshop: Workshop,
  client: pg.ClientBase,
  databaseId: string,
): Promise<void> {
  const ids = (await listTokenKeys(workshop.catalog.db)).map(({ id }) => id)
  for (const id of ids) await installKeys(client, tokenKeyOf(workshop.masterKey, databaseId, id))
  const { rows } = await client.query<{ id: string }>(
    'select id from quickscale.token_key where id <> all ($1)',
    [ids],
  )
  for (const { id } of rows) await removeKey(client, id)
}

/** What a database's credential is encrypted for; part of the envelope's authentication. */
function credentialPurpose(record: Pick<DatabaseRecord, 'id'>): string {
  return `login of database ${record.id}`
}

/** @throws QuickScaleError `CREDENTIAL_UNREADABLE` */
export async function applicationLogin(keys: KeyProvider, database: DatabaseRecord): Promise<Login> {
  if (database.credential === null) {
    throw new QuickScaleError('CREDENTIAL_UNREADABLE', { reason: `database ${database.name} is not ready` })
  }
  const password = await decrypt(keys, database.credential, credentialPurpose(database))
  return { role: database.loginRole, password }
}

export async function dropDatabase(workshop: Workshop, record: DatabaseRecord): Promise<void> {
  if (record.brought) return await vacateDatabase(workshop, record, loginRoles(record))
  await workshop.servers.onServer(record.server, async (client) => {
    await endCreation(client, record)
    await client.query(`drop database if exists ${quoteIdentifier(record.name)} with (force)`)
    for (const role of loginRoles(record)) {
      await client.query(`drop role if exists ${quoteIdentifier(role)}`)
    }
  })
}

/** Of a process that was killed, the last CREATE DATABASE may still run in the server, and would be done after the DROP. */
async function endCreation(client: pg.ClientBase, { name }: DatabaseRecord): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid, $2) from pg_stat_activity
      where pid <> pg_backend_pid() and state = 'active' and starts_with(query, $1)`,
    [creationOf(quoteIdentifier(name)), limits.terminationWaitMs],
  )
}

function creationOf(name: string): string {
  return `create database ${name} template`
}

/** Every role that logs in to a database. */
export function loginRoles({ loginRole }: Pick<DatabaseRecord, 'loginRole'>): string[] {
  return [
    loginRole,
    ...(['reader', 'unscoped'] as const).map((purpose) => furtherLoginName(loginRole, purpose)),
  ]
}

/** What of a database and its login roles is on the server. */
export async function inspectDatabase(workshop: Workshop, record: DatabaseRecord): Promise<Holding[]> {
  if (record.brought) return await inspectBrought(workshop, record, loginRoles(record))
  return await workshop.servers.onServer(record.server, async (client) => {
    const { rows } = await client.query<Pick<Holding, 'name'> & { kind: 'database' | 'role' }>(
      `select 'database' as kind, datname::text as name from pg_database where datname = $1
       union all select 'role', rolname::text from pg_roles where rolname = any ($2)`,
      [record.name, loginRoles(record)],
    )
    return rows.map(({ kind, name }) => ({ kind, name, count: 1 }))
  })
}

/** Whether a database can be connected to: it may be half made, or half dropped. */
export async function isOpen(
  { servers }: Pick<Workshop, 'servers'>,
  record: DatabaseRecord,
): Promise<boolean> {
  return await servers.onServer(record.server, async (client) => {
    const { rowCount } = await client.query(
      // A DROP DATABASE that was interrupted leaves -2 behind.
      'select from pg_database where datname = $1 and datallowconn and datconnlimit <> -2',
      [record.name],
    )
    return rowCount === 1
  })
}

async function createDatabase(workshop: Workshop, record: DatabaseRecord): Promise<void> {
  if (record.brought) return await occupyDatabase(workshop, record)
  const name = quoteIdentifier(record.name)
  const template = record.kind === 'silo' ? installationNames(workshop.installation).template : 'template0'
  await workshop.servers.onServer(record.server, async (client) => {
    if (!record.ready || !(await exists(client, record))) {
      await cloneDatabase(client, name, quoteIdentifier(template))
    }
    // One string: one transaction.
    await client.query(
      `revoke all on database ${name} from public; alter database ${name} allow_connections true`,
    )
  })
}

async function exists(client: pg.ClientBase, { name }: DatabaseRecord): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_database where datname = $1', [name])
  return rowCount === 1
}

/**
 * Leaves a database that is there already as it is. A template in use cannot be cloned; whoever upgrades it is soon done. A new database is everybody's to connect to:
 * nobody is let in before the right is revoked.
 */
async function cloneDatabase(client: pg.ClientBase, name: string, template: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query(`${creationOf(name)} ${template} strategy wal_log allow_connections false`)
      return
    } catch (error) {
      const code = error instanceof pg.DatabaseError ? error.code : undefined
      if (code === databaseExists) return
      if (code !== templateInUse || attempt >= limits.templateWaitAttemptsMax) throw error
      await sleep(limits.retryPauseMsMax)
    }
  }
}

const databaseExists = '42P04'
const templateInUse = '55006'

/** In a silo, suspension revokes quickscale_silo and leaves the right to be told so. */
function applicationRole(
  record: DatabaseRecord,
  password: string,
  settings: LoginRole['settings'],
): LoginRole {
  return {
    name: record.loginRole,
    password,
    databaseName: record.name,
    groups: ['quickscale_runtime', ...(record.kind === 'silo' ? ['quickscale_silo'] : [])],
    connectionsMax: limits.loginConnectionsMax,
    settings,
  }
}

/**
 * Lets the login of a silo use its tables, or no longer: from the commit on each of its statements is refused, prepared
 * ones too. It may still connect, and enter() says why nobody gets in.
 */
export async function admitToTables(
  client: pg.ClientBase,
  record: Pick<DatabaseRecord, 'loginRole'>,
  admitted: boolean,
): Promise<void> {
  const role = quoteIdentifier(record.loginRole)
  if (!admitted) {
    await client.query(`revoke quickscale_silo from ${role}`)
    // A membership that somebody else has granted stays, with a warning only.
    const left = await client.query("select pg_has_role($1, 'quickscale_silo', 'member') as member", [
      record.loginRole,
    ])
    if (left.rows[0].member === true) {
      throw new QuickScaleError('ROLE_UNSAFE', {
        role: record.loginRole,
        reason: 'it stays a member of quickscale_silo',
      })
    }
    return
  }
  await grantGroup(client, 'quickscale_silo', record.loginRole)
}
