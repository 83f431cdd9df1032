/**
 * A tenancy for one test file, cloned from a template: migrations run once per server and set of migrations, a clone costs
 * three CREATE DATABASE. Clones share the template's master key and the login of its shared database, which is fine for
 * tests and for nothing else.
 */
import { createHash, randomBytes } from 'node:crypto'
import type pg from 'pg'
import type { TenancyConfig } from '../config.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { readMigrations } from '../migrations/files.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'
import { sqlFiles } from '../sql-files.ts'
import { type Administrator, createAdministrator } from '../strategies/administrator.ts'
import { installationNames } from '../strategies/strategy.ts'
import { createTenancy, type Tenancy } from '../tenancy.ts'

/** A configuration without what the tests do not choose. */
export type TestTenancyConfig<DB = unknown> = Omit<
  TenancyConfig<TenantHandle<DB>>,
  'installation' | 'masterKey' | 'keyProvider' | 'servers'
>

/** A tenancy that is gone when it is closed. */
export interface TestTenancy<DB = unknown> {
  readonly tenancy: Tenancy<DB>
  /** With what it was opened with, all that another process needs to open it too. */
  readonly config: { readonly installation: string; readonly masterKey: string }
  /** Ends its connections and drops its databases and login roles. */
  close(): Promise<void>
}

const plansByDefault = {
  free: { strategy: 'rls' },
  pro: { strategy: 'schema' },
  enterprise: { strategy: 'database' },
} as const

/**
 * Opens an installation of its own, migrated and without tenants. The first call with these migrations makes the template
 * (a second or two), which stays on the server; calls of other files, processes included, wait for it.
 *
 * @param config as for `createTenancy`; default plans: free (rls), pro (schema), enterprise (database)
 * @throws what `createTenancy` and `migrate` throw
 * @example
 * const { tenancy, close } = await openTestTenancy({ databaseUrl, migrations: [directory] })
 * afterAll(close)
 */
export async function openTestTenancy<DB = unknown>(config: TestTenancyConfig<DB>): Promise<TestTenancy<DB>> {
  const whole = { ...config, plans: config.plans ?? plansByDefault }
  const digest = await digestOf(whole)
  const template = `qst_${digest.slice(0, 11)}`
  const installation = `qsc_${randomBytes(5).toString('hex')}`
  const masterKey = createHash('sha256').update(`quickscale test ${digest}`).digest('base64')
  const administrator = createAdministrator(config.databaseUrl)
  try {
    await administrator.connected(administrator.maintenanceDatabase, async (client) => {
      // Of the session, so that a killed test run gives it up. A template in use cannot be cloned either.
      await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [template])
      if (!(await isMade(client, template))) {
        await make({ ...whole, seed: undefined, installation: template, masterKey })
        const { catalog } = installationNames(template)
        await client.query(`comment on database ${quoteIdentifier(catalog)} is 'made'`)
      }
      await cloneInstallation(client, administrator, template, installation)
    })
    const tenancy = await createTenancy<DB>({ ...whole, installation, masterKey })
    const close = () => closeAndDrop(tenancy, administrator, installation)
    return { tenancy, config: { installation, masterKey }, close }
  } catch (error) {
    await drop(administrator, installation)
    await administrator.close()
    throw error
  }
}

/** What a template depends on: the library's own objects, the migrations, the plans. */
async function digestOf(config: Pick<TenancyConfig, 'migrations' | 'plans'>): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(config.plans))
  for (const directory of ['server', 'catalog', 'tenant-database'] as const) {
    for (const { name, text } of await sqlFiles(directory)) hash.update(`\0${name}\0${text}`)
  }
  for (const { name, digest } of await readMigrations(config.migrations)) hash.update(`\0${name}\0${digest}`)
  return hash.digest('hex')
}

/** The comment comes last: without it, an earlier attempt was interrupted, and migrate() goes on. */
async function isMade(client: pg.Client, template: string): Promise<boolean> {
  const { rowCount } = await client.query(
    "select from pg_database where datname = $1 and shobj_description(oid, 'pg_database') = 'made'",
    [installationNames(template).catalog],
  )
  return rowCount === 1
}

async function make<DB>(config: TenancyConfig<TenantHandle<DB>>): Promise<void> {
  const tenancy = await createTenancy<DB>(config)
  try {
    await tenancy.migrate()
  } finally {
    await tenancy.close()
  }
}

async function cloneInstallation(
  client: pg.Client,
  administrator: Administrator,
  template: string,
  installation: string,
): Promise<void> {
  const from = installationNames(template)
  const to = installationNames(installation)
  for (const part of ['catalog', 'shared', 'template'] as const) {
    const name = quoteIdentifier(to[part])
    await client.query(`create database ${name} template ${quoteIdentifier(from[part])} strategy wal_log`)
    await client.query(`revoke all on database ${name} from public`)
  }
  await client.query(
    `grant connect on database ${quoteIdentifier(to.shared)} to ${quoteIdentifier(from.shared)}`,
  )
  await administrator.connected(to.catalog, (catalog) =>
    inTransaction(catalog, async () => {
      for (const part of ['shared', 'template'] as const) {
        await catalog.query('update catalog.database set name = $2 where name = $1', [from[part], to[part]])
      }
    }),
  )
}

async function closeAndDrop(
  tenancy: Pick<Tenancy, 'close'>,
  administrator: Administrator,
  installation: string,
): Promise<void> {
  await tenancy.close()
  await drop(administrator, installation)
  await administrator.close()
}

async function drop(administrator: Administrator, installation: string): Promise<void> {
  await administrator.connected(administrator.maintenanceDatabase, async (client) => {
    for (const [text, kind] of [
      ['select datname::text as name from pg_database where starts_with(datname, $1)', 'database'],
      ['select rolname::text as name from pg_roles where starts_with(rolname, $1)', 'role'],
    ] as const) {
      const { rows } = await client.query<{ name: string }>(text, [`${installation}_`])
      for (const { name } of rows) {
        const force = kind === 'database' ? ' with (force)' : ''
        await client.query(`drop ${kind} if exists ${quoteIdentifier(name)}${force}`)
      }
    }
  })
}
