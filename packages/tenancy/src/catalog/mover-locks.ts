/**
 * Which moves somebody works on. Who does holds a lock in a session of the catalog, which PostgreSQL gives up with the process; of
 * a machine that is gone it ends the session, because keepalives are not answered. The lock keeps nobody out: it is shared,
 * and whoever is asked to take a move over does so by its lease. It keeps from a move only those who take it up unasked.
 */
import pg from 'pg'
import { limits } from '../limits.ts'
import { pause } from '../pause.ts'
import type { Named } from './locks.ts'

/** It keeps nobody's process alive unless it is asked something. The driver has these methods; its types do not. */
type Session = pg.Client & { ref(): void; unref(): void }

/** Locks of the processes that move tenants. */
export class MoverLocks {
  readonly #url: string
  readonly #named: Named
  readonly #closing = new AbortController()
  /** How many pieces of work of this process are on each move. */
  readonly #counts = new Map<string, number>()
  /** In which session each of them is locked, or was. */
  readonly #held = new Map<string, Promise<Session>>()
  #session: Promise<Session> | null = null
  #reopening: Promise<void> | null = null
  #asked: Promise<unknown> = Promise.resolve()

  constructor(url: string, named: Named) {
    this.#url = url
    this.#named = named
  }

  /**
   * Works on a move, whoever else does.
   *
   * @throws QuickScaleError `CATALOG_UNREACHABLE`
   */
  async holding<T>(id: string, work: () => Promise<T>): Promise<T> {
    await this.#take(id, takeNow)
    try {
      return await work()
    } finally {
      await this.#leave(id)
    }
  }

  /**
   * Makes a move this process' if nobody works on it.
   *
   * @returns what ends that; null when somebody does
   * @throws QuickScaleError `CATALOG_UNREACHABLE`
   */
  async takeIfFree(id: string): Promise<(() => Promise<void>) | null> {
    if (this.#counts.has(id)) return null
    return (await this.#take(id, takeIfFree)) ? () => this.#leave(id) : null
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#counts.clear()
    this.#held.clear()
    await this.#reopening
    await this.#asked
    const session = await this.#session?.catch(() => null)
    session?.ref()
    await session?.end()
  }

  async #take(id: string, text: string): Promise<boolean> {
    this.#add(id, 1)
    try {
      // Also where others of this process are at it: what they have asked for may yet fail.
      const held = await this.#ask(text, id)
      if (!held) this.#add(id, -1)
      return held
    } catch (error) {
      this.#add(id, -1)
      throw error
    }
  }

  async #leave(id: string): Promise<void> {
    // Closed meanwhile: the locks went with the session.
    if (!this.#counts.has(id) || this.#add(id, -1) > 0) return
    // What was lost with its session need not be given up.
    if (this.#held.get(id) === this.#session) await this.#ask(giveUp, id).catch(() => false)
    if (!this.#counts.has(id)) this.#held.delete(id)
  }

  #add(id: string, change: 1 | -1): number {
    const count = (this.#counts.get(id) ?? 0) + change
    if (count > 0) this.#counts.set(id, count)
    else this.#counts.delete(id)
    return count
  }

  /** One after the other, on one connection. */
  async #ask(text: string, id: string): Promise<boolean> {
    const asked = this.#asked.then(() => this.#askNow(text, id))
    this.#asked = asked.catch(() => undefined)
    return await asked
  }

  async #askNow(text: string, id: string): Promise<boolean> {
    if (text !== giveUp && !this.#counts.has(id)) return false
    const opening = this.#session ?? this.#open()
    const session = await this.#named(opening)
    // A session counts how often it has taken a lock: once is enough for all of this process.
    if (text !== giveUp && this.#held.get(id) === opening) return true
    try {
      session.ref()
      const { rows } = await session.query<{ held: boolean }>(text, [`mover ${id}`])
      const held = rows[0]?.held === true
      if (text === giveUp) this.#held.delete(id)
      else if (held && this.#counts.has(id)) this.#held.set(id, opening)
      // Whoever wanted it has left meanwhile.
      else if (held) await session.query(giveUp, [`mover ${id}`])
      session.unref()
      return held
    } catch (error) {
      // Nobody knows what it holds. Not awaited: a server that does not answer would not end it either.
      session.end().catch(() => undefined)
      this.#lose(opening)
      return await this.#named(Promise.reject(error))
    }
  }

  #open(): Promise<Session> {
    const opening = connect(this.#url)
    const lose = () => this.#lose(opening)
    this.#session = opening
    opening.then((session) => session.once('end', lose), lose)
    return opening
  }

  #lose(opening: Promise<Session>): void {
    if (this.#session !== opening) return
    this.#session = null
    if (this.#held.size > 0) this.#reopening ??= this.#reopen()
  }

  /** Whoever works on a move does so on, and says so again as soon as the catalog can be reached. */
  async #reopen(): Promise<void> {
    const { signal } = this.#closing
    try {
      while (!signal.aborted && this.#held.size > 0) {
        try {
          for (const [id, session] of [...this.#held]) {
            if (session !== this.#session) await this.#ask(takeNow, id)
          }
          return
        } catch {
          await pause(limits.catalogRetryMs, signal)
        }
      }
    } finally {
      this.#reopening = null
    }
  }
}

async function connect(url: string): Promise<Session> {
  const seconds = limits.moverKeepAliveSeconds
  const session = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: limits.catalogConnectMs,
    query_timeout: limits.catalogConnectMs,
    application_name: 'quickscale movers',
    options: [
      'idle_session_timeout=0',
      `tcp_keepalives_idle=${seconds}`,
      `tcp_keepalives_interval=${seconds}`,
      'tcp_keepalives_count=2',
    ]
      .map((setting) => `-c ${setting}`)
      .join(' '),
  })
  // A lost connection is reported by the query on it, and by its end.
  session.on('error', () => undefined)
  await session.connect()
  return session as Session
}

const takeNow = 'select pg_advisory_lock_shared(hashtextextended($1, 0)) is not null as held'
/** The exclusive lock lasts for this statement: it says that nobody has the shared one. */
const takeIfFree = `
  select case when pg_try_advisory_lock(key)
              then pg_advisory_lock_shared(key) is not null and pg_advisory_unlock(key)
              else false end as held
    from (select hashtextextended($1, 0) as key) as wanted`
const giveUp = 'select pg_advisory_unlock_shared(hashtextextended($1, 0)) as held'
