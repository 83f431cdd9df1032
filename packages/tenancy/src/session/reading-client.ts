import type pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import { untilAborted } from './abort.ts'
import type { Router } from './route.ts'
import type { CopySink, Statement } from './scope.ts'
import { TenantClient } from './tenant-client.ts'

export interface ReadingOptions {
  /** Milliseconds the reader may leave what he has been given unread, before the connection is taken back. */
  readonly idleMs?: number
  /** Ends the reading and its connection at once. */
  readonly signal?: AbortSignal
}

/**
 * A connection for as long as somebody reads from it: in a READ ONLY transaction under REPEATABLE READ, which sees one
 * moment and holds no lock that a move would wait for. An abort, or a reader who stays away, ends the connection.
 */
export class ReadingClient {
  readonly #client: TenantClient
  readonly #signal: AbortSignal | undefined
  readonly #idleMs: number
  #timer: NodeJS.Timeout | null = null
  #failure: QuickScaleError | null = null
  #released = false

  constructor(router: Router, actor: Actor | null, options: ReadingOptions) {
    this.#client = new TenantClient(router, actor)
    this.#signal = options.signal
    this.#idleMs = options.idleMs ?? limits.readerIdleMs
  }

  async begin(): Promise<void> {
    await this.query({ text: 'begin isolation level repeatable read read only' })
  }

  /** @throws QuickScaleError `READER_IDLE` */
  async query<Row extends pg.QueryResultRow>(statement: Statement): Promise<pg.QueryResult<Row>> {
    return await this.#run(() => this.#client.query<Row>(statement))
  }

  /** @throws QuickScaleError `READER_IDLE` */
  async copyOut(text: string, sink: CopySink): Promise<void> {
    await this.#run(() => this.#client.copyOut(text, sink))
  }

  /** From now on it is the reader's turn. */
  waitForReader(): void {
    if (this.#timer !== null) {
      this.#timer.refresh()
      return
    }
    this.#timer = setTimeout(() => {
      this.#failure = new QuickScaleError('READER_IDLE', { milliseconds: this.#idleMs })
      this.#release()
    }, this.#idleMs).unref()
  }

  /** The connection is given back when the server has confirmed the transaction's end, and ended if it does not. */
  async end(): Promise<void> {
    this.#stopWaiting()
    if (this.#released) return
    // What failed is told already; a connection that cannot even roll back is ended by its release.
    await this.#client.query('rollback').then(undefined, () => undefined)
    this.#release()
  }

  /** The reader wants more of a COPY. */
  resume(): void {
    this.#stopWaiting()
    this.#client.resume()
  }

  /** Ends the connection at once, with whatever runs on it. */
  abandon(): void {
    this.#stopWaiting()
    this.#release()
  }

  async #run<T>(work: () => Promise<T>): Promise<T> {
    this.#stopWaiting()
    if (this.#failure !== null) throw this.#failure
    try {
      return await untilAborted(this.#signal, work, () => this.#release())
    } catch (error) {
      // That the connection is gone is what the failure did.
      throw this.#failure ?? error
    }
  }

  #stopWaiting(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #release(): void {
    if (this.#released) return
    this.#released = true
    this.#client.release()
  }
}
