import type { FastifyBaseLogger } from 'fastify'
import type pg from 'pg'
import { limits } from '../limits.ts'

// graphile-worker keeps the jobs of a worker that is gone for hours. So each worker holds a lock for as long as its process has a
// connection; who finds the lock free knows that its holder is gone, and gives its jobs to the others.

/** Of the workers' locks, so that they meet no other ones. */
const LOCK_SPACE = 'quickscale worker '

/** Says that a worker is alive, for as long as the connection is. */
async function hold(client: pg.PoolClient, workerId: string): Promise<void> {
  await client.query('select pg_advisory_lock_shared(hashtextextended($1, 0))', [LOCK_SPACE + workerId])
}

export class Rescue {
  readonly #pool: pg.Pool
  readonly #log: FastifyBaseLogger
  readonly #own = new Set<string>()
  readonly #timer: NodeJS.Timeout
  #client: pg.PoolClient | null = null
  #running: Promise<void> | null = null
  #closed = false

  constructor(pool: pg.Pool, log: FastifyBaseLogger) {
    this.#pool = pool
    this.#log = log
    this.#timer = setInterval(() => this.request(), limits.jobRescueMs).unref()
  }

  /** A worker of this process. */
  announce(workerId: string): void {
    this.#own.add(workerId)
    if (this.#client === null) return
    // What fails with the connection is done again on the next one.
    hold(this.#client, workerId).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the lock of a worker could not be had'),
    )
  }

  /** Looks for workers that are gone, one search at a time. */
  request(): void {
    if (this.#closed) return
    this.#running ??= this.#search()
      .catch((error: unknown) => this.#log.warn({ err: error }, 'workers that are gone were not looked for'))
      .finally(() => {
        this.#running = null
      })
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#running
    this.#client?.release(true)
    this.#client = null
  }

  async #search(): Promise<void> {
    const client = await this.#connect()
    const { rows } = await client.query<{ id: string }>(
      `select distinct locked_by as id from graphile_worker.jobs
        where locked_at < now() - $1 * interval '1 millisecond' and locked_by <> all ($2::text[])`,
      [limits.jobRescueMs, [...this.#own]],
    )
    const gone: string[] = []
    for (const { id } of rows) {
      const lock = [LOCK_SPACE + id]
      const found = await client.query('select pg_try_advisory_lock(hashtextextended($1, 0)) as free', lock)
      if (found.rows[0]?.free !== true) continue
      gone.push(id)
      await client.query('select pg_advisory_unlock(hashtextextended($1, 0))', lock)
    }
    if (gone.length === 0) return
    this.#log.warn({ workers: gone }, 'workers are gone; their jobs are run again')
    await client.query('select graphile_worker.force_unlock_workers($1)', [gone])
  }

  /** The connection that holds the locks; a lost one is replaced, and holds them anew. */
  async #connect(): Promise<pg.PoolClient> {
    if (this.#client !== null) return this.#client
    const client = await this.#pool.connect()
    const lose = () => {
      if (this.#client !== client) return
      this.#client = null
      client.release(true)
      this.request()
    }
    this.#client = client
    client.on('error', lose)
    client.on('end', lose)
    try {
      for (const id of this.#own) await hold(client, id)
    } catch (error) {
      lose()
      throw error
    }
    return client
  }
}
