import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { quoteIdentifier, quoteLiteral } from '../packages/tenancy/src/identifiers.ts'
import type { Ground } from './ground.ts'
import { asOwner, type Installation } from './installation.ts'
import { Ledger, type Who } from './ledger.ts'
import { type Expected, observe, rawTypes } from './outcome.ts'
import { createParty, fixtureOf, type Party } from './party.ts'
import { type Door, RawSession } from './raw-session.ts'
import type { Foreign } from './witness.ts'

/** The designs in naive/, by the files they are made of, and how each tells its tenants apart. */
const designs = {
  'shared-tables': { files: ['shared-tables'], layout: 'column' },
  'no-context-means-all': { files: ['shared-tables', 'no-context-means-all'], layout: 'column' },
  'filtering-view': { files: ['shared-tables', 'filtering-view'], layout: 'column' },
  'delimited-context': { files: ['shared-tables', 'delimited-context'], layout: 'column' },
  'default-tenant': { files: ['shared-tables', 'default-tenant'], layout: 'column' },
  'open-helper': { files: ['shared-tables', 'open-helper'], layout: 'column' },
  'open-definer': { files: ['shared-tables', 'open-definer'], layout: 'column' },
  'readable-secrets': { files: ['shared-tables', 'readable-secrets'], layout: 'column' },
  'role-switch': { files: ['shared-tables', 'role-switch'], layout: 'column' },
  'definer-report': { files: ['shared-tables', 'definer-report'], layout: 'column' },
  'open-extensions': { files: ['shared-tables', 'open-extensions'], layout: 'column' },
  schemas: { files: ['schemas'], layout: 'schema' },
  'own-database': { files: ['own-database'], layout: 'database' },
} as const satisfies Record<string, { files: readonly string[]; layout: 'column' | 'schema' | 'database' }>

export type Design = keyof typeof designs

/** A design as it is usually found, in a database made for one attack. */
export interface SeedGround extends Ground {
  readonly database: string
  /** Name of the application's login role. */
  readonly appRole: string
  /** Name of the role that owns the tables. */
  readonly ownerRole: string
  /** One connection that serves everybody, as the pool of a busy application does. */
  readonly pool: pg.Pool
  /**
   * A request of a tenant through that pool. The middleware sets the tenant for the session, or (as is often
   * written) with set_config(…, true) outside a transaction, which is lost at once; or not at all.
   */
  request(who: Who, middleware: 'session' | 'lost' | 'none'): Door
  /** A connection of the application's role, or of the owner of the tables; the tenant set for the session. */
  raw(options?: SeedRawOptions): Promise<RawSession>
}

export interface SeedRawOptions {
  /** @defaultValue 'app' */
  readonly role?: 'app' | 'owner'
  /** Whose tenant is set; null for nobody's. */
  readonly inside?: Who | null
  readonly by?: Who
  /** False leaves search_path to the role's and the database's own settings. @defaultValue true */
  readonly searchPath?: boolean
}

/** Login roles of the naive targets; they last as long as the installation. */
export interface SeedRoles {
  readonly app: string
  readonly owner: string
  readonly password: string
}

/** Makes the roles, and the database in which one design after the other is built. */
export async function prepareSeeds(installation: Installation): Promise<SeedRoles> {
  const { name } = installation
  const roles = { app: `${name}_app`, owner: `${name}_owner`, password: randomBytes(12).toString('hex') }
  await asOwner(installation.connection('postgres'), async (owner) => {
    for (const role of [roles.app, roles.owner]) {
      await owner.query(`create role ${quoteIdentifier(role)} login password ${quoteLiteral(roles.password)}`)
    }
    await owner.query(`create database ${quoteIdentifier(databaseOf(installation))} template template0`)
  })
  return roles
}

function databaseOf({ name }: Installation): string {
  return `${name}_naive`
}

/** Settings and memberships of roles outlive what is in the database, and so do large objects. */
async function clear(owner: pg.Client, roles: SeedRoles, database: string): Promise<void> {
  const [app, tableOwner] = [quoteIdentifier(roles.app), quoteIdentifier(roles.owner)]
  await owner.query(
    `drop schema if exists app, tenant_attacker, tenant_victim cascade;
     alter role ${app} in database ${quoteIdentifier(database)} reset all;
     revoke ${tableOwner} from ${app};
     select lo_unlink(oid) from pg_largeobject_metadata`,
  )
}

export interface SeedTarget {
  readonly ground: SeedGround
  readonly foreign: Foreign
  /** Commits and closes the attack's own connections. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** Builds a design in the emptied database and opens it. */
export async function openSeed(
  installation: Installation,
  roles: SeedRoles,
  target: { design: Design; rebase: () => Promise<void> },
): Promise<SeedTarget> {
  const { layout } = designs[target.design]
  const partyOf = (who: Who) => {
    const schema = layout === 'schema' ? `tenant_${who}` : 'app'
    return createParty(who, { slug: who, id: crypto.randomUUID(), schema, idsCollide: false })
  }
  const parties = { attacker: partyOf('attacker'), victim: partyOf('victim') }
  const database = databaseOf(installation)
  const owner = new pg.Client(installation.connection(database))
  await owner.connect()
  await clear(owner, roles, database)
  await build(owner, roles, { design: target.design, parties })
  const ledger = new Ledger()
  const sessions: RawSession[] = []
  const login = loginOf(installation, roles)
  const pool = new pg.Pool({ ...login('app', 'app'), max: 1 })
  pool.on('connect', (client) => client.on('error', (error) => ledger.hear('attacker', error.message)))
  pool.on('error', (error) => ledger.hear('attacker', error.message))
  const ground: SeedGround = {
    ...parties,
    ledger,
    owner,
    rebase: target.rebase,
    database,
    appRole: roles.app,
    ownerRole: roles.owner,
    pool,
    request: (who, middleware) => requestDoor(pool, ledger, { party: parties[who], middleware }),
    raw: async ({ role = 'app', inside = 'attacker', by = 'attacker', searchPath = true } = {}) => {
      const { schema } = parties[inside ?? by]
      const session = await RawSession.open(login(role, searchPath ? schema : null), ledger, by)
      sessions.push(session)
      if (inside !== null) await session.client.query(setTenant(false), [parties[inside].id])
      return session
    },
  }
  const settle = async () => void (await Promise.all(sessions.map((session) => session.close())))
  const close = async () => {
    await settle()
    await Promise.all([pool.end(), owner.end()])
  }
  const foreign = {
    attacker: parties.attacker,
    others: [parties.victim],
    shared: layout === 'column' ? ['app'] : [],
    private: layout === 'column' ? [] : [parties.victim.schema],
  }
  return { ground, foreign, settle, close }
}

async function build(
  owner: pg.Client,
  roles: SeedRoles,
  { design, parties: { attacker, victim } }: { design: Design; parties: Record<Who, Party> },
): Promise<void> {
  const { layout, files } = designs[design]
  const words = {
    app: quoteIdentifier(roles.app),
    owner: quoteIdentifier(roles.owner),
    attacker: quoteLiteral(attacker.id),
    victim: quoteLiteral(victim.id),
  }
  for (const file of files) await owner.query(await readNaive(file, words))
  for (const party of layout === 'database' ? [victim] : [victim, attacker]) {
    for (const { text, values } of fixtureOf(party, layout === 'column')) await owner.query(text, values)
  }
}

function loginOf(installation: Installation, roles: SeedRoles) {
  const database = databaseOf(installation)
  const { hostname, port } = new URL(installation.connection(database).connectionString ?? '')
  return (role: 'app' | 'owner', schema: string | null): pg.ClientConfig => ({
    host: hostname,
    port: Number(port),
    database,
    user: roles[role],
    password: roles.password,
    ...(schema === null ? {} : { options: `-c search_path=${schema}` }),
  })
}

/** A file of naive/ with its {{words}} replaced by names and literals that are quoted already. */
export async function readNaive(file: string, words: Readonly<Record<string, string>> = {}): Promise<string> {
  const text = await readFile(new URL(`./naive/${file}.sql`, import.meta.url), 'utf8')
  return text.replace(/\{\{(\w+)\}\}/g, (_, word: string) => {
    const value = words[word]
    if (value === undefined) throw new Error(`naive/${file}.sql wants {{${word}}}`)
    return value
  })
}

function setTenant(local: boolean): string {
  return `select set_config('app.current_tenant_id', $1, ${local})`
}

function requestDoor(
  pool: pg.Pool,
  ledger: Ledger,
  { party, middleware }: { party: { who: Who; id: string }; middleware: 'session' | 'lost' | 'none' },
): Door {
  return {
    try: async (expected: Expected, text: string, values?: readonly unknown[]) => {
      const client = await pool.connect()
      try {
        if (middleware !== 'none') await client.query(setTenant(middleware === 'lost'), [party.id])
        const config = { text, rowMode: 'array' as const, types: rawTypes }
        const outcome = await observe(() =>
          client.query(values === undefined ? config : { ...config, values: [...values] }),
        )
        return ledger.note(party.who, text, outcome, expected)
      } finally {
        client.release()
      }
    },
  }
}
