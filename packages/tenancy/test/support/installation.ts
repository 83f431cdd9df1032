import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { inject } from 'vitest'
import { dropInstallation } from '../../../../test/support/drop-installation.ts'
import {
  createTenancy,
  decrypt,
  localKeyProvider,
  type Strategy,
  type Tenancy,
  type TenancyConfig,
  type TenantHandle,
} from '../../src/index.ts'
import { deriveSeal, sealToken } from '../../src/session/token.ts'
import { tokenKeyOf } from '../../src/strategies/token-keys.ts'

/** The tables of support/migrations, as Kysely sees them. */
export interface NoteTables {
  author: { id: number; name: string }
  note: { id: number; body: string; author_id: number | null }
}

export const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

/** An installation of its own on the test server. */
export class TestInstallation {
  readonly tenancy: Tenancy<NoteTables>
  readonly name: string
  readonly masterKey: string
  readonly #extra: Tenancy<NoteTables>[] = []

  private constructor(tenancy: Tenancy<NoteTables>, name: string, masterKey: string) {
    this.tenancy = tenancy
    this.name = name
    this.masterKey = masterKey
  }

  /** Installed, with the tenants `one` and `two` under the strategy. */
  static async open(
    strategy: Strategy,
    config: Partial<TenancyConfig<TenantHandle<NoteTables>>> = {},
  ): Promise<TestInstallation> {
    const name = `t_${randomBytes(5).toString('hex')}`
    const masterKey = randomBytes(32).toString('base64')
    const installation = new TestInstallation(
      await createTenancy<NoteTables>(configOf(name, masterKey, strategy, config)),
      name,
      masterKey,
    )
    await installation.tenancy.migrate()
    for (const slug of ['one', 'two'])
      await installation.tenancy.tenants.create({ slug, name: slug, plan: 'only' })
    return installation
  }

  /** A second process' view of the same installation: nothing cached, pools of its own. */
  async another(
    strategy: Strategy,
    config: Partial<TenancyConfig<TenantHandle<NoteTables>>> = {},
  ): Promise<Tenancy<NoteTables>> {
    const tenancy = await createTenancy<NoteTables>(configOf(this.name, this.masterKey, strategy, config))
    this.#extra.push(tenancy)
    return tenancy
  }

  async close(): Promise<void> {
    for (const tenancy of this.#extra) await tenancy.close()
    await this.tenancy.close()
    await dropInstallation(inject('databaseUrl'), this.name)
  }

  /** Runs SQL as the administrator, past every wall, in the database a tenant lives in. */
  async asOwner(key: string, text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    const { databaseName } = await this.tenancy.tenants.placement(key)
    return await this.inDatabase(databaseName, text, values)
  }

  /** The administrator's URL of the database a tenant lives in. */
  async urlOf(key: string): Promise<string> {
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${(await this.tenancy.tenants.placement(key)).databaseName}`
    return url.href
  }

  async inCatalog(text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    return await this.inDatabase(`${this.name}_catalog`, text, values)
  }

  /** A plain connection as the login role of the database a tenant lives in: what an attacker with its password has. */
  async loginTo(key: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: await this.loginUrlOf(key) })
    await client.connect()
    return client
  }

  /** URL of that login role, with its password. */
  async loginUrlOf(key: string): Promise<string> {
    const { databaseId, databaseName } = await this.tenancy.tenants.placement(key)
    const { rows } = await this.inCatalog(
      'select login_role, credential from catalog.database where id = $1',
      [databaseId],
    )
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${databaseName}`
    url.username = rows[0].login_role
    const keys = localKeyProvider(Buffer.from(this.masterKey, 'base64'))
    url.password = await decrypt(keys, rows[0].credential, `login of database ${databaseId}`)
    return url.href
  }

  /** Runs SQL in the tenant's sealed context on a plain connection, past the library's statement list. */
  async onRawConnection(key: string, text: string): Promise<pg.QueryResult> {
    const { id } = await this.tenancy.tenants.get(key)
    const { databaseId, epoch } = await this.tenancy.tenants.placement(key)
    const seal = deriveSeal(tokenKeyOf(Buffer.from(this.masterKey, 'base64'), databaseId), id, epoch)
    const login = await this.loginTo(key)
    try {
      await login.query('begin')
      await login.query('select quickscale.enter($1, $2, $3)', [
        ...sealToken(seal, { actor: null, expiresAtMs: Date.now() + 60_000 }),
      ])
      const result = await login.query(text)
      await login.query('commit')
      return result
    } finally {
      await login.end()
    }
  }

  /** The administrator's connection to a database of the test server; whoever asks for it ends it. */
  async connectTo(databaseName: string): Promise<pg.Client> {
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${databaseName}`
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    return client
  }

  async inDatabase(databaseName: string, text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    const client = await this.connectTo(databaseName)
    try {
      return await client.query(text, values)
    } finally {
      await client.end()
    }
  }
}

/** The configuration that another process needs for the same installation. */
export function configOf(
  installation: string,
  masterKey: string,
  strategy: Strategy,
  config: Partial<TenancyConfig<TenantHandle<NoteTables>>>,
): TenancyConfig<TenantHandle<NoteTables>> {
  return {
    databaseUrl: inject('databaseUrl'),
    installation,
    masterKey,
    migrations: [fileURLToPath(new URL('./migrations', import.meta.url))],
    plans: { only: { strategy } },
    ...config,
    connections: { perDatabase: 2, perSilo: 2, waitMs: 1_000, ...config.connections },
  }
}
