import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { upgradeObjects } from '../sql-files.ts'
import { CatalogChanges } from './changes.ts'
import type { CatalogTables } from './tables.ts'

const connectionsMax = 5
const locksMax = 10

/** The control plane's database. */
export interface Catalog {
  /** Kysely over the schema `catalog`; where there is none, every query throws `NOT_INSTALLED`; `CATALOG_UNREACHABLE`. */
  readonly db: Kysely<CatalogTables>
  /** What others change in it. */
  readonly changes: CatalogChanges
  /** Creates or upgrades the catalog's objects. */
  upgrade(): Promise<void>
  /**
   * Runs `work` while these names are held; another process waits for them, a crash frees them. So does the loss of
   * the connection: `work` calls `assertHeld` before what it must not do beside another holder, or does it `underLock`.
   *
   * @throws QuickScaleError `LOCK_LOST` out of `assertHeld` and `underLock`, `NOT_INSTALLED`, `CATALOG_UNREACHABLE`
   */
  locked<T>(names: LockNames, work: (assertHeld: AssertHeld, underLock: UnderLock) => Promise<T>): Promise<T>
  /**
   * The same, but when another one holds a name nothing is done, and nobody waits.
   *
   * @returns null then
   */
  lockedIfFree<T>(
    names: LockNames,
    work: (assertHeld: AssertHeld) => Promise<T>,
  ): Promise<{ readonly result: T } | null>
  close(): Promise<void>
}

/**
 * Asks the server, unless it answered on that connection a moment ago (`limits.lockHeardMs`), and throws `LOCK_LOST` if the
 * lock is lost; `cause` is what has failed already, if anything.
 */
export type AssertHeld = (cause?: unknown) => Promise<void>

/**
 * A statement on the connection that holds the lock: what it does is done by the holder, or not at all. Its locks of the
 * session are given up with the others.
 */
export type UnderLock = <Row extends pg.QueryResultRow>(text: string, values: unknown[]) => Promise<Row[]>

/** What a piece of work keeps others from: its own kind, and the kind that must not run beside it. */
export interface LockNames {
  readonly exclusive: string
  /** Held together with others that share it, but not with its exclusive holder. */
  readonly shared?: string
}

/** Database, schema, table, column or function that is not there. */
const absent = new Set(['3D000', '3F000', '42P01', '42703', '42883'])

/** Connection lost or refused, no connection left, not accepting connections, shut down. */
const unreachable = /^(08...|53300|55000|57P..)$/

/** Opens the catalog of an installation at `url`; connects at the first query. */
export function openCatalog(url: string, installation: string): Catalog {
  const pool = openPool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: limits.catalogConnectMs,
    application_name: 'quickscale catalog',
  })
  // Apart, because the work under a lock uses the catalog too and would wait for itself.
  const locks = openPool({
    connectionString: url,
    max: locksMax,
    Client: LockClient as unknown as new () => pg.ClientBase,
    application_name: 'quickscale locks',
  })
  const named = <T>(query: Promise<T>) => query.catch((cause) => explain(cause, installation))
  const dialectPool = {
    connect: async () => {
      const client = await named(pool.connect())
      const query = (text: string, values: readonly unknown[]) => named(client.query(text, [...values]))
      return Object.create(client, { query: { value: query } }) as pg.PoolClient
    },
    end: () => pool.end(),
    options: pool.options,
  }
  const dialect = new PostgresDialect({ pool: dialectPool })
  const changes = new CatalogChanges(url)
  return {
    db: new Kysely<CatalogTables>({ dialect }).withSchema('catalog'),
    changes,
    upgrade: () => upgrade(pool),
    locked: async (names, work) => {
      const client = await named(locks.connect())
      // Nobody waits for its end.
      const { outcome } = await whileLocked(client, names, lockAfterWait, installation, work)
      // Whoever waits gets it.
      if (outcome === null) throw new QuickScaleError('LOCK_LOST', { lock: names.exclusive })
      return outcome.result
    },
    lockedIfFree: async (names, work) => {
      const client = await named(locks.connect())
      const { outcome, released } = await whileLocked(client, names, lockIfFree, installation, work)
      // Whoever asks again finds it free.
      await released
      return outcome
    },
    close: async () => {
      await Promise.all([pool.end(), locks.end(), changes.close()])
    },
  }
}

/** Connecting has a bound; waiting for one of the others to be given back has none, because work under a lock may last. */
class LockClient extends pg.Client {
  constructor(config: pg.ClientConfig) {
    super({ ...config, connectionTimeoutMillis: limits.catalogConnectMs })
  }
}

/** A pool whose lost connections are reported by the queries on them, and by nothing else. */
export function openPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config)
  // An 'error' that nobody listens to ends Node. The pool drops an idle connection that failed; on one that is in
  // use the running query, or the next one, reports the failure.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  return pool
}

function explain(cause: unknown, installation: string): never {
  if (cause instanceof pg.DatabaseError && absent.has(cause.code ?? '')) {
    throw new QuickScaleError('NOT_INSTALLED', { installation }, { cause })
  }
  if (cause instanceof pg.DatabaseError && !unreachable.test(cause.code ?? '')) throw cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  throw new QuickScaleError('CATALOG_UNREACHABLE', { reason }, { cause })
}

async function upgrade(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await upgradeObjects(client, 'catalog', 'catalog')
  } finally {
    client.release()
  }
}

/** One round trip; a WHERE is done before what is selected, so the shared one is waited for first. */
const lockAfterWait = `
  select pg_advisory_lock(hashtextextended($1, 0)) is not null as held
   where $2::text is null or pg_advisory_lock_shared(hashtextextended($2, 0)) is not null`
const lockIfFree = `
  select pg_try_advisory_lock(hashtextextended($1, 0)) as held
   where $2::text is null or pg_try_advisory_lock_shared(hashtextextended($2, 0))`

async function whileLocked<T>(
  client: pg.PoolClient,
  names: LockNames,
  lock: string,
  installation: string,
  work: (assertHeld: AssertHeld, underLock: UnderLock) => Promise<T>,
): Promise<{ readonly outcome: { readonly result: T } | null; readonly released: Promise<void> }> {
  // A session's locks live as long as it does: when it answers, they are held.
  let heardAtMs = Number.NEGATIVE_INFINITY
  const ask = async <Row extends pg.QueryResultRow>(
    text: string,
    values: unknown[] = [],
    cause?: unknown,
  ) => {
    const { rows } = await client.query<Row>(text, values).catch((failure: unknown) => {
      const alive = failure instanceof pg.DatabaseError && !unreachable.test(failure.code ?? '')
      if (alive) return explain(failure, installation)
      throw new QuickScaleError('LOCK_LOST', { lock: names.exclusive }, { cause: cause ?? failure })
    })
    heardAtMs = performance.now()
    return rows
  }
  const assertHeld: AssertHeld = async (cause) => {
    if (cause === undefined && performance.now() - heardAtMs < limits.lockHeardMs) return
    await ask('select', [], cause)
  }
  let outcome: { readonly result: T } | null
  try {
    const { rows } = await client.query<{ held: boolean }>(lock, [names.exclusive, names.shared ?? null])
    const held = rows[0]?.held === true
    outcome = held ? { result: await work(assertHeld, ask) } : null
  } catch (error) {
    client.release(true)
    throw error
  }
  // The work is done, whatever becomes of the lock; ending the connection gives it up too. One of the two may be held where
  // not both were free.
  const released = client.query('select pg_advisory_unlock_all()').then(
    () => client.release(),
    () => client.release(true),
  )
  return { outcome, released }
}
