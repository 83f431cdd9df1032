import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  createTenancy,
  decrypt,
  type Envelope,
  localKeyProvider,
  type Strategy,
  type Tenancy,
  type TenancyConfig,
} from '@quickscale/tenancy'
import pg from 'pg'
import { quoteIdentifier } from '../packages/tenancy/src/identifiers.ts'
import { dropInstallation } from '../test/support/drop-installation.ts'
import { createParty, fixtureOf, type Party } from './party.ts'

export const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

/** A database of the installation, and the login role that the library uses there. */
export interface TenantDatabase {
  readonly id: string
  readonly name: string
  readonly login: string
  readonly password: string
}

/** The two tenants under one strategy, and the database each lives in: the same one unless each has its own. */
export interface Arena {
  readonly strategy: Strategy
  readonly attacker: Party
  readonly victim: Party
  readonly databaseOf: Readonly<Record<'attacker' | 'victim', TenantDatabase>>
}

/** Everything the suite works with; removed as a whole. */
export interface Installation {
  readonly name: string
  readonly masterKey: Buffer
  readonly arenas: Readonly<Record<Strategy, Arena>>
  /** Taken before any attack: what targets that lack one defence are cloned from. */
  readonly pristine: Readonly<Record<'rls' | 'schema', TenantDatabase>>
  tenancy(): Tenancy
  /** Another process of the same installation; to be closed by whoever opens it. */
  another(changes: Partial<TenancyConfig>): Promise<Tenancy>
  /** Configuration of a connection to a database of the server, as its superuser unless told otherwise. */
  connection(database: string): pg.ClientConfig
  /** Gives PUBLIC back what only a superuser can take away: the rights as on a managed server. */
  soften(): Promise<void>
  remove(): Promise<void>
}

/** One connection per database: attacker and victim always share it. */
const connections = { perDatabase: 1, perSilo: 1, waitMs: 4_000, statementTimeoutMs: 10_000 }

/** @throws Error when the server's administrator is not a superuser: only such a one sees every row */
export async function install(
  databaseUrl: string,
  onProgress: (what: string) => void,
): Promise<Installation> {
  const name = `atk_${randomBytes(5).toString('hex')}`
  const masterKey = randomBytes(32)
  const connection = (database: string): pg.ClientConfig => {
    const url = new URL(databaseUrl)
    url.pathname = `/${encodeURIComponent(database)}`
    return { connectionString: url.href, application_name: 'attack owner' }
  }
  const open = (changes: Partial<TenancyConfig> = {}) =>
    createTenancy({
      databaseUrl,
      installation: name,
      masterKey: masterKey.toString('base64'),
      migrations: [fileURLToPath(new URL('./migrations', import.meta.url))],
      plans: { rls: { strategy: 'rls' }, schema: { strategy: 'schema' }, database: { strategy: 'database' } },
      connections,
      ...changes,
    })
  let tenancy = await open()
  const remove = async () => {
    await tenancy.close()
    await dropInstallation(databaseUrl, name)
  }
  try {
    await asOwner(connection(new URL(databaseUrl).pathname.slice(1) || 'postgres'), assertSuperuser)
    onProgress('installing')
    await tenancy.migrate()
    const arenas = await openArenas({ name, masterKey, tenancy, connection }, onProgress)
    const pristineName = `${name}_pristine`
    // A database in use cannot be cloned, and provisioning leaves idle connections behind.
    await tenancy.close()
    await clone(connection, { from: `${name}_pool`, to: pristineName })
    tenancy = await open()
    const pristine = { ...arenas.rls.databaseOf.attacker, name: pristineName }
    return {
      name,
      masterKey,
      arenas,
      pristine: { rls: pristine, schema: pristine },
      tenancy: () => tenancy,
      another: open,
      connection,
      soften: async () => {
        // Connections ask for their rights when they open.
        await tenancy.close()
        const text = await readFile(new URL('./naive/managed-server.sql', import.meta.url), 'utf8')
        const databases = new Set(
          Object.values(arenas).flatMap(({ databaseOf }) =>
            Object.values(databaseOf).map((database) => database.name),
          ),
        )
        for (const database of databases) await asOwner(connection(database), (owner) => owner.query(text))
        tenancy = await open()
      },
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

export async function asOwner<T>(
  config: pg.ClientConfig,
  work: (owner: pg.Client) => Promise<T>,
): Promise<T> {
  const owner = new pg.Client(config)
  await owner.connect()
  try {
    return await work(owner)
  } finally {
    await owner.end()
  }
}

/** Copies a database that nobody is connected to. Its rights are not copied: PUBLIC gets none, as in the original. */
export async function clone(
  connection: Installation['connection'],
  database: { from: string; to: string },
): Promise<void> {
  const [from, to] = [quoteIdentifier(database.from), quoteIdentifier(database.to)]
  await asOwner(connection('postgres'), async (owner) => {
    await owner.query(`create database ${to} template ${from} strategy wal_log`)
    await owner.query(`revoke all on database ${to} from public`)
  })
}

async function assertSuperuser(owner: pg.Client): Promise<void> {
  const { rows } = await owner.query('select rolsuper from pg_roles where rolname = current_user')
  if (rows[0]?.rolsuper !== true) throw new Error('the attack suite needs a superuser, to see what was hit')
}

async function openArenas(
  site: Pick<Installation, 'name' | 'masterKey' | 'connection'> & { tenancy: Tenancy },
  onProgress: (what: string) => void,
): Promise<Record<Strategy, Arena>> {
  const databases = await readDatabases(site, ['rls', 'schema', 'database'], onProgress)
  const open = async (strategy: Strategy): Promise<Arena> => {
    const [attacker, victim] = await Promise.all(
      (['attacker', 'victim'] as const).map(async (who) => {
        const { tenantId, schemaName, databaseName } = await site.tenancy.tenants.placement(
          `${who}-${strategy}`,
        )
        const party = createParty(who, {
          slug: `${who}-${strategy}`,
          id: tenantId,
          schema: schemaName,
          idsCollide: true,
        })
        const database = databases.get(databaseName)
        if (database === undefined) throw new Error(`no database ${databaseName}`)
        await asOwner(site.connection(databaseName), async (owner) => {
          for (const { text, values } of fixtureOf(party, true)) await owner.query(text, values)
        })
        return { party, database }
      }),
    )
    if (attacker === undefined || victim === undefined) throw new Error('an arena needs two parties')
    const databaseOf = { attacker: attacker.database, victim: victim.database }
    return { strategy, attacker: attacker.party, victim: victim.party, databaseOf }
  }
  return { rls: await open('rls'), schema: await open('schema'), database: await open('database') }
}

/** Makes the tenants; then the databases they live in, each with its login role's real password, out of the catalog. */
async function readDatabases(
  site: Pick<Installation, 'name' | 'masterKey' | 'connection'> & { tenancy: Tenancy },
  plans: readonly Strategy[],
  onProgress: (what: string) => void,
): Promise<Map<string, TenantDatabase>> {
  for (const plan of plans) {
    for (const who of ['attacker', 'victim']) {
      onProgress(`provisioning ${who}-${plan}`)
      await site.tenancy.tenants.create({ slug: `${who}-${plan}`, name: who, plan })
    }
  }
  const keys = localKeyProvider(site.masterKey)
  return await asOwner(site.connection(`${site.name}_catalog`), async (owner) => {
    const { rows } = await owner.query<{
      id: string
      name: string
      login_role: string
      credential: Envelope
    }>(`select id, name, login_role, credential from catalog.database where ready and kind <> 'template'`)
    const databases = rows.map(async ({ id, name, login_role, credential }) => {
      const password = await decrypt(keys, credential, `login of database ${id}`)
      return [name, { id, name, login: login_role, password }] as const
    })
    return new Map(await Promise.all(databases))
  })
}
