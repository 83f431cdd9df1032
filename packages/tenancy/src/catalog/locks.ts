import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { openPool, unreachable } from './pool.ts'

const locksMax = 10

/** Gives a failure of the catalog its name. */
export type Named = <T>(query: Promise<T>) => Promise<T>

/** Locks of the installation, each held by one process at a time. */
export interface Locks {
  /**
   * Runs `work` while these names are held; another process waits for them, a crash frees them. So does the loss of
   * the connection: `work` calls `assertHeld` before what it must not do beside another holder, or does it `underLock`.
   *
   * @throws QuickScaleError `LOCK_LOST` out of `assertHeld` and `underLock`, `NOT_INSTALLED`, `CATALOG_UNREACHABLE`
   */
  locked<T>(names: LockNames, work: (assertHeld: AssertHeld, underLock: UnderLock) => Promise<T>): Promise<T>
  /** The same in one round trip with what the work has to know first. @throws QuickScaleError as locked */
  lockedAsking<Row extends pg.QueryResultRow, T>(
    question: Question,
    work: (row: Row | undefined, assertHeld: AssertHeld, underLock: UnderLock) => Promise<T>,
  ): Promise<T>
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

/** A statement that takes locks of the session before it looks at anything, and returns one row. */
export interface Question {
  /** Of the lock that is lost, when it is. */
  readonly lock: string
  readonly text: string
  readonly values: readonly unknown[]
}

/** Connecting has a bound; waiting for one of the others to be given back has none, because work under a lock may last. */
class LockClient extends pg.Client {
  constructor(config: pg.ClientConfig) {
    super({ ...config, connectionTimeoutMillis: limits.catalogConnectMs })
  }
}

/** Their connections are apart, because the work under a lock uses the catalog too and would wait for itself. */
export function openLocks(url: string, named: Named): Locks {
  const pool = openPool({
    connectionString: url,
    max: locksMax,
    Client: LockClient as unknown as new () => pg.ClientBase,
    application_name: 'quickscale locks',
  })
  const asking: Locks['lockedAsking'] = async (question, work) => {
    const client = await named(pool.connect())
    // Nobody waits for its end.
    return (await whileLocked(client, question, named, work)).outcome
  }
  return {
    locked: (names, work) =>
      asking(taking(names, lockAfterWait), (_row, assertHeld, underLock) => work(assertHeld, underLock)),
    lockedAsking: asking,
    lockedIfFree: async (names, work) => {
      const client = await named(pool.connect())
      const { outcome, released } = await whileLocked(
        client,
        taking(names, lockIfFree),
        named,
        async (row: { held: boolean } | undefined, assertHeld) =>
          row?.held === true ? { result: await work(assertHeld) } : null,
      )
      // Whoever asks again finds it free.
      await released
      return outcome
    },
    close: () => pool.end(),
  }
}

/** One round trip; a WHERE is done before what is selected, so the shared one is waited for first. */
const lockAfterWait = `
  select pg_advisory_lock(hashtextextended($1, 0)) is not null as held
   where $2::text is null or pg_advisory_lock_shared(hashtextextended($2, 0)) is not null`
const lockIfFree = `
  select pg_try_advisory_lock(hashtextextended($1, 0)) as held
   where $2::text is null or pg_try_advisory_lock_shared(hashtextextended($2, 0))`

function taking({ exclusive, shared }: LockNames, text: string): Question {
  return { lock: exclusive, text, values: [exclusive, shared ?? null] }
}

async function whileLocked<Row extends pg.QueryResultRow, T>(
  client: pg.PoolClient,
  { lock, text: question, values: asked }: Question,
  named: Named,
  work: (row: Row | undefined, assertHeld: AssertHeld, underLock: UnderLock) => Promise<T>,
): Promise<{ readonly outcome: T; readonly released: Promise<void> }> {
  // A session's locks live as long as it does: when it answers, they are held.
  let heardAtMs = Number.NEGATIVE_INFINITY
  const ask = async <Row extends pg.QueryResultRow>(
    text: string,
    values: unknown[] = [],
    cause?: unknown,
  ) => {
    const { rows } = await client.query<Row>(text, values).catch((failure: unknown) => {
      const alive = failure instanceof pg.DatabaseError && !unreachable.test(failure.code ?? '')
      if (alive) return named(Promise.reject(failure))
      throw new QuickScaleError('LOCK_LOST', { lock }, { cause: cause ?? failure })
    })
    heardAtMs = performance.now()
    return rows
  }
  const assertHeld: AssertHeld = async (cause) => {
    if (cause === undefined && performance.now() - heardAtMs < limits.lockHeardMs) return
    await ask('select', [], cause)
  }
  let outcome: T
  try {
    const { rows } = await named(client.query<Row>(question, [...asked]))
    heardAtMs = performance.now()
    outcome = await work(rows[0], assertHeld, ask)
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
