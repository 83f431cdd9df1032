import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { HeldMove } from '../../catalog/moves.ts'
import { QuickScaleError } from '../../errors.ts'
import { limits } from '../../limits.ts'
import { type End, writeEnd } from '../end.ts'
import type { MovedTable } from '../tables.ts'
import { applyFates } from './apply.ts'
import { Changes } from './changes.ts'
import { type Behind, Pace } from './pace.ts'
import { MARKER_PREFIX, type Message, parseLsn } from './pgoutput.ts'
import { type StreamSource, type Subscription, subscribe } from './subscription.ts'
import { Touched } from './touched.ts'

type Change = Extract<Message, { kind: 'insert' | 'update' | 'delete' }>

/** What waits to be done at the other end, in the order in which it came. */
type Step = ChangesStep | { readonly kind: 'marker'; readonly content: string }

interface ChangesStep {
  readonly kind: 'changes'
  readonly changes: Changes
  /** Of its messages. */
  bytes: number
  /** The end of the last of its transactions; null while more of that one is to come. */
  end: Commit | null
}

/** Where a transaction ended in the log, and when. */
type Commit = Omit<Extract<Message, { kind: 'commit' }>, 'kind'>

/**
 * Applies what is committed at one end to the other: whole transactions, together with the position in the log, in one
 * transaction there. What is applied is what was decoded since the last time, so that it keeps up by itself when it falls behind.
 *
 * The server sends a transaction when it is committed, one after the other. So of a large one parts can be applied before the
 * rest is here: in one transaction all the same, which ends with its last part.
 */
export class Follower {
  readonly #held: HeldMove
  readonly #to: End
  readonly #tables: readonly MovedTable[]
  readonly #byName: ReadonlyMap<string, MovedTable>
  readonly #client: pg.ClientBase
  /** None once it has caught up with what was written before it began. */
  #pace: Pace | null
  #subscription: Subscription | null = null
  #transaction: Change[] = []
  #transactionBytes = 0
  /** Parts of the transaction that is being received have been queued. */
  #isPartQueued = false
  /** A transaction at the other end has parts of one. */
  #isOpen = false
  #steps: Step[] = []
  #backlog = 0
  #backlogBytes = 0
  #running = false
  #drained: (() => void)[] = []
  readonly #waiting = new Map<string, Arrival>()
  #failure: Error | null = null
  readonly touched = new Touched()
  #applied = 0
  /** When something was applied last, or the server came nearer to what is waited for. */
  #aliveAt = 0
  #heard = 0n
  #catchUpTo = 0n

  /**
   * @param client to the end that follows, in the role of a replica
   * @param share part of the time that it uses until it has caught up; see {@link restAfter}
   */
  constructor(
    held: HeldMove,
    to: End,
    tables: readonly MovedTable[],
    { client, share }: { readonly client: pg.ClientBase; readonly share: number },
  ) {
    this.#held = held
    this.#to = to
    this.#tables = tables
    this.#byName = new Map(tables.map((table) => [table.name, table]))
    this.#client = client
    this.#pace = new Pace(share)
  }

  /** Changes of rows that have been applied. */
  get applied(): number {
    return this.#applied
  }

  async start(source: StreamSource): Promise<void> {
    this.#subscription = await subscribe(source, {
      onMessage: (message) => this.#receive(message),
      onPosition: (lsn) => this.#hear(lsn),
      onLost: (error) => this.#fail(error),
    })
  }

  /** Throws what has ended the stream, if anything. */
  assertRunning(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /**
   * Waits until what was written before it began has been applied, in pieces with rests between them. From then on it follows at once.
   *
   * @param emitter see {@link reachNow}
   * @param options.signal ends the waiting
   * @param options.onBehind called now and then while it lasts; what it throws ends the waiting
   */
  async catchUp(
    emitter: pg.ClientBase,
    {
      signal,
      onBehind,
    }: { readonly signal: AbortSignal | undefined; onBehind?(behind: Behind | null): void },
  ): Promise<void> {
    const marker = this.expectMarker()
    // As the stream counts: from the year 2000.
    const { rows } = await emitter.query<{ ms: number }>(
      "select extract(epoch from clock_timestamp() - timestamptz '2000-01-01 00:00+00')::float8 * 1000 as ms",
    )
    const [untilMs, askedAt] = [rows[0]?.ms ?? 0, performance.now()]
    const emitted = await emitter.query<{ lsn: string }>(marker.statement)
    this.#catchUpTo = parseLsn(emitted.rows[0]?.lsn ?? '0/0')
    const reached = marker.reached.then(() => true)
    const waited = () => sleep(limits.moveProgressMs, false, { signal, ref: false })
    while (!(await Promise.race([reached, waited()]))) {
      onBehind?.(this.#pace?.behind(untilMs + performance.now() - askedAt, untilMs) ?? null)
    }
    this.#pace = null
  }

  /**
   * Writes a marker into the log at the other end, and waits until all that was committed before has been applied.
   *
   * @param emitter writes it; not transactional, because one in a transaction would be decoded after its commit only
   * @param onReached runs before anything that came after the marker is applied
   * @returns milliseconds that it took
   */
  async reachNow(
    emitter: pg.ClientBase,
    onReached: () => Promise<void> = async () => undefined,
  ): Promise<number> {
    const marker = this.expectMarker(onReached)
    const startedAt = performance.now()
    await emitter.query(marker.statement)
    await marker.reached
    return performance.now() - startedAt
  }

  /** A marker to be written with a statement of one's own. */
  expectMarker(onReached: () => Promise<void> = async () => undefined): {
    readonly statement: string
    readonly reached: Promise<void>
    /** Should it still come, nothing is done. */
    abandon(): void
  } {
    this.assertRunning()
    const nonce = randomBytes(16).toString('hex')
    const reached = new Promise<void>((resolve, reject) => {
      const lose = () => {
        // As long as something is applied, or the log of others is read, the marker is on its way.
        const idleMs = performance.now() - this.#aliveAt
        if (idleMs < limits.markerWaitMs) {
          timer = setTimeout(lose, limits.markerWaitMs - idleMs)
          return
        }
        this.#waiting.delete(nonce)
        const reason = `a marker did not come through the log within ${limits.markerWaitMs} ms`
        reject(new QuickScaleError('MOVE_STALLED', { move: this.#held.id, reason }))
      }
      let timer = setTimeout(lose, limits.markerWaitMs)
      const settle = (error: Error | null) => {
        clearTimeout(timer)
        this.#waiting.delete(nonce)
        if (error === null) resolve()
        else reject(error)
      }
      this.#waiting.set(nonce, { onReached, settle })
    })
    // Whoever gives up before it waits for it is not told here.
    reached.catch(() => undefined)
    return {
      statement: `select pg_logical_emit_message(false, '${MARKER_PREFIX}', '${nonce}', true) as lsn`,
      reached,
      abandon: () => this.#waiting.get(nonce)?.settle(new Error('nobody waits for the marker any more')),
    }
  }

  /** Whoever applies something that does not end, behind a lock for example, is not waited for: its connection ends next. */
  async stop(): Promise<void> {
    await this.#subscription?.close()
    this.#fail(new Error('the stream was closed'))
    const ended = async () => {
      while (this.#running) await new Promise<void>((resolve) => this.#drained.push(resolve))
    }
    await Promise.race([ended(), sleep(limits.terminationWaitMs, undefined, { ref: false })])
  }

  #hear(lsn: bigint): void {
    if (lsn > this.#heard && lsn <= this.#catchUpTo) this.#aliveAt = performance.now()
    this.#heard = lsn
  }

  #receive(message: Message): Promise<void> | undefined {
    if (this.#failure !== null) return undefined
    try {
      switch (message.kind) {
        case 'insert':
        case 'update':
        case 'delete':
          this.#transaction.push(message)
          this.#transactionBytes += message.bytes
          if (
            this.#transaction.length >= this.#batchMax ||
            this.#transactionBytes >= limits.applyBatchBytesMax
          ) {
            this.#queue(null)
          }
          break
        case 'commit':
          this.#queue(message)
          break
        case 'marker':
          this.#steps.push({ kind: 'marker', content: message.content })
          this.#run()
          break
        default:
          break
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    }
    if (this.#hasRoom) return undefined
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  get #batchMax(): number {
    return this.#pace?.batchMax ?? limits.applyBatchMax
  }

  get #hasRoom(): boolean {
    return (
      this.#backlog < limits.applyBacklogBatches * this.#batchMax &&
      this.#backlogBytes < limits.applyBacklogBytesMax
    )
  }

  /** @param end null when the transaction goes on */
  #queue(end: Commit | null): void {
    const [changes, bytes] = [this.#transaction, this.#transactionBytes]
    ;[this.#transaction, this.#transactionBytes] = [[], 0]
    // Of a transaction that wrote nothing of this tenant.
    if (changes.length === 0 && !this.#isPartQueued) return
    this.#isPartQueued = end === null
    const last = this.#steps.at(-1)
    const room =
      last?.kind === 'changes' &&
      last.changes.count < this.#batchMax &&
      last.bytes < limits.applyBatchBytesMax
    const step: ChangesStep = room
      ? last
      : { kind: 'changes', changes: new Changes(this.#tables), bytes: 0, end }
    if (!room) this.#steps.push(step)
    for (const change of changes) step.changes.add(change)
    step.end = end
    step.bytes += bytes
    this.#backlog += changes.length
    this.#backlogBytes += bytes
    this.#run()
  }

  #run(): void {
    if (!this.#running) void this.#work()
  }

  async #work(): Promise<void> {
    this.#running = true
    try {
      await this.#workOff()
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)))
    } finally {
      // At once: what is queued from now on is begun by whoever queues it.
      this.#running = false
      this.#release()
    }
  }

  async #workOff(): Promise<void> {
    for (let step = this.#steps.shift(); step !== undefined; step = this.#steps.shift()) {
      if (this.#failure !== null) return
      if (step.kind === 'marker') await this.#arrive(step.content)
      else await this.#applyInPace(step)
      const left = this.#steps.filter((each) => each.kind === 'changes')
      this.#backlog = left.reduce((sum, { changes }) => sum + changes.count, 0)
      this.#backlogBytes = left.reduce((sum, { bytes }) => sum + bytes, 0)
      if (this.#hasRoom) this.#release()
    }
  }

  async #arrive(content: string): Promise<void> {
    const arrival = this.#waiting.get(content)
    // Of an earlier holder of the move.
    if (arrival === undefined) return
    await arrival.onReached()
    arrival.settle(null)
  }

  async #applyInPace(step: ChangesStep): Promise<void> {
    const startedAt = performance.now()
    await this.#apply(step)
    await this.#pace?.rest(startedAt, step.end?.committedAtMs ?? null)
  }

  async #apply({ changes, end }: ChangesStep): Promise<void> {
    const fates = changes.take()
    try {
      if (!this.#isOpen) await this.#client.query('begin')
      this.#isOpen = true
      for (const [name, rows] of fates) {
        const table = this.#byName.get(name)
        if (table !== undefined) await applyFates(this.#client, this.#to.place.schemaName, table, rows)
      }
      if (end !== null) {
        await writeEnd(this.#client, this.#held, this.#to.role, { position: end.endLsn })
        await this.#client.query('commit')
        this.#isOpen = false
      }
    } catch (error) {
      // On a dead connection there is nothing to roll back.
      await this.#client.query('rollback').catch(() => undefined)
      throw error
    }
    for (const [name, rows] of fates) {
      this.touched.add(
        name,
        rows.map(({ key }) => key),
      )
      this.#applied += rows.length
    }
    this.#aliveAt = performance.now()
    if (end !== null) await this.#subscription?.acknowledge(end.endLsn)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { settle } of this.#waiting.values()) settle(this.#failure)
    this.#release()
  }

  #release(): void {
    for (const resolve of this.#drained.splice(0)) resolve()
  }
}

interface Arrival {
  readonly onReached: () => Promise<void>
  readonly settle: (error: Error | null) => void
}
