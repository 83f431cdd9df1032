import { randomBytes, randomUUID } from 'node:crypto'
import pg from 'pg'
import { inject } from 'vitest'
import { completeLayout, type Wall } from '../../src/layout/compile.ts'
import { fitMigration } from '../../src/layout/fit.ts'
import { placeSearchPath } from '../../src/layout/migrator.ts'
import { type TokenKey, TokenSource } from '../../src/session/token.ts'
import { sqlFiles, upgradeObjects } from '../../src/sql-files.ts'
import { installKeys } from '../../src/strategies/token-keys.ts'

/** A place with its author's migrations, and the tenant that lives in it. */
export interface TestPlace {
  readonly schema: string
  readonly wall: Wall
}

/** Runs SQL as one tenant: enter and the statements in one transaction of an unprivileged login. */
export type TestTenant = (text: string, values?: unknown[]) => Promise<pg.QueryResult>

/** A fresh database with roles, objects and keys, an administrator's connection, and a login that owns nothing. */
export class LayoutDatabase {
  readonly admin: pg.Client
  readonly login: pg.Client
  readonly #name: string
  readonly #loginName: string
  readonly #key: TokenKey

  private constructor(name: string, admin: pg.Client, login: pg.Client, loginName: string, key: TokenKey) {
    this.#name = name
    this.#loginName = loginName
    this.#key = key
    this.admin = admin
    this.login = login
  }

  static async open(): Promise<LayoutDatabase> {
    const name = `layout_${randomBytes(6).toString('hex')}`
    const loginName = `${name}_login`
    await asServerAdministrator(async (client) => {
      await client.query("begin; select pg_advisory_xact_lock(hashtextextended('quickscale roles', 0))")
      for (const file of await sqlFiles('server')) await client.query(file.text)
      await client.query('commit')
      await client.query(`create database ${name} template template0`)
      await client.query(
        `create role ${loginName} login password 'test';
         grant quickscale_runtime, quickscale_silo to ${loginName}`,
      )
    })
    const admin = new pg.Client({ connectionString: urlOf(name) })
    await admin.connect()
    await upgradeObjects(admin, 'tenant-database', 'quickscale')
    const key: TokenKey = { id: 'k1', secret: randomBytes(32) }
    await installKeys(admin, key)
    const login = new pg.Client({ connectionString: urlOf(name, loginName, 'test') })
    await login.connect()
    return new LayoutDatabase(name, admin, login, loginName, key)
  }

  async close(): Promise<void> {
    await this.login.end()
    await this.admin.end()
    await asServerAdministrator(async (client) => {
      await client.query(`drop database ${this.#name} with (force)`)
      await client.query(`drop role ${this.#loginName}`)
    })
  }

  /** Makes a schema and applies migrations to it, one transaction each, as the library does. */
  async place(wall: Wall, ...migrations: string[]): Promise<TestPlace> {
    const schema = `place_${randomBytes(6).toString('hex')}`
    await this.admin.query(
      `create schema ${schema} authorization quickscale_owner;
       grant usage, create on schema ${schema} to quickscale_migrator`,
    )
    for (const sql of migrations) await this.migrate({ schema, wall }, sql)
    return { schema, wall }
  }

  async migrate({ schema, wall }: TestPlace, sql: string): Promise<void> {
    await this.admin.query('begin')
    try {
      const fitted = await fitMigration(this.admin, { schema, wall, sql })
      await this.admin.query(
        `set local role quickscale_migrator; set local search_path to ${placeSearchPath(schema)}`,
      )
      await this.admin.query(fitted)
      await this.admin.query('reset role; reset search_path')
      await completeLayout(this.admin, { schema, wall })
      await this.admin.query('commit')
    } catch (error) {
      await this.admin.query('rollback')
      throw error
    }
  }

  /** Opens the fence for a tenant of a place. */
  async tenant(place: TestPlace, tenantId: string = randomUUID()): Promise<TestTenant> {
    await this.admin.query(
      `insert into quickscale.placement (tenant_id, epoch, state, schema_name) values ($1, 1, 'active', $2)`,
      [tenantId, place.schema],
    )
    return (text, values) => this.#asTenant(tenantId, text, values)
  }

  async #asTenant(tenantId: string, text: string, values: unknown[] = []): Promise<pg.QueryResult> {
    const token = new TokenSource(this.#key, tenantId, 1).token(null, 0)
    await this.login.query('begin')
    try {
      await this.login.query('select quickscale.enter($1, $2, $3)', [...token])
      const result = await this.login.query(text, values)
      await this.login.query('commit')
      return result
    } catch (error) {
      await this.login.query('rollback')
      throw error
    }
  }
}

/** Runs a query for the sake of its error. */
export async function failureOf(work: Promise<unknown>): Promise<pg.DatabaseError> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (outcome instanceof pg.DatabaseError) return outcome
  throw new Error(`expected an error of the database, got ${String(outcome)}`)
}

async function asServerAdministrator(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: inject('databaseUrl') })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

function urlOf(database: string, user?: string, password?: string): string {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${database}`
  if (user !== undefined) url.username = user
  if (password !== undefined) url.password = password
  return url.href
}
