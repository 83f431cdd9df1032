import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import { classify } from './classifier.ts'
import type { Classification } from './classify.ts'
import { parseDestination } from './destination.ts'
import { EnterRefusal } from './enter-refusal.ts'
import type { ScopedClient } from './pg-internals.ts'
import { isStaleStatement } from './prepared-statements.ts'
import type { Rewriting } from './rewrite/rewrite.ts'
import { rewriteFor, runRewritten } from './rewritten-run.ts'
import type { Route, Router } from './route.ts'
import type { CopySink, Scope, Statement } from './scope.ts'

interface Lease {
  readonly route: Route
  readonly client: ScopedClient
  readonly scope: Scope
  /** When it was taken, by performance.now(). */
  readonly sinceMs: number
}

/**
 * One unit of work of one tenant: takes a connection at the first statement and keeps it until released. When the
 * tenant turns out to live elsewhere, nothing has happened yet, and the unit starts again there.
 */
export class TenantSession {
  readonly #router: Router
  readonly #actor: Actor | null
  #lease: Lease | null = null
  #released = false

  constructor(router: Router, actor: Actor | null) {
    this.#router = router
    this.#actor = actor
  }

  /**
   * Runs one statement; one round trip.
   *
   * @param alone nothing follows it on this connection, so it must not open a transaction
   */
  async query(statement: Statement, alone = false): Promise<pg.QueryResult> {
    const known = classify(statement.text)
    const classification = known instanceof Promise ? await known : known
    if (classification.kind === 'copyOut' && classification.refusal === null) {
      throw new QuickScaleError('STATEMENT_REFUSED', { reason: 'a COPY needs a reader; use copyTo()' })
    }
    if (alone && classification.kind !== 'statement') {
      throw new QuickScaleError('STATEMENT_REFUSED', {
        reason: 'transactions need a connection; use transaction() or pool.connect()',
      })
    }
    if (classification.refusal !== null) {
      throw new QuickScaleError('STATEMENT_REFUSED', { reason: classification.refusal })
    }
    return await this.#attempt(classification, (lease) => this.#run(lease, classification, statement, null))
  }

  /** What `query` would send in place of a text; runs nothing of it. */
  async explain(text: string): Promise<Rewriting> {
    const classification = await classify(text)
    if (classification.refusal !== null) {
      throw new QuickScaleError('STATEMENT_REFUSED', { reason: classification.refusal })
    }
    const { rewriting } = classification
    if (rewriting === null) return { text, changes: [] }
    return await this.#attempt(classification, (lease) => rewriteFor(lease, rewriting, text))
  }

  #run(
    lease: Lease,
    classification: Classification,
    statement: Statement,
    sink: CopySink | null,
  ): Promise<pg.QueryResult> {
    const { client, scope } = lease
    if (classification.rewriting === null) return client.run(scope, classification, statement, sink)
    return runRewritten(lease, classification.rewriting, statement, (rewritten) =>
      client.run(scope, classification, rewritten, sink),
    )
  }

  async #attempt<T>(classification: Classification, work: (lease: Lease) => Promise<T>): Promise<T> {
    const startedAtMs = performance.now()
    for (let attempt = 1; ; attempt += 1) {
      const lease = this.#lease ?? this.#openAtOnce() ?? (await this.#open())
      if (this.#lease !== lease) throw new QuickScaleError('CONNECTION_RELEASED')
      try {
        return await work(lease)
      } catch (error) {
        const waitedMs = performance.now() - startedAtMs
        if (isArriving(error) && waitedMs < limits.arrivalWaitMs) {
          await this.#awaitArrival(lease, waitedMs)
          attempt -= 1
          continue
        }
        if (attempt >= limits.attemptsMax) throw this.#explain(error)
        await this.#prepareRetry(lease, classification, error, attempt)
      }
    }
  }

  /** Runs COPY (query) TO STDOUT inside the transaction that is open on this session. */
  async copyOut(text: string, sink: CopySink): Promise<pg.QueryResult> {
    const classification = await classify(text)
    if (classification.refusal !== null) {
      throw new QuickScaleError('STATEMENT_REFUSED', { reason: classification.refusal })
    }
    const lease = this.#lease
    if (lease === null) throw new QuickScaleError('CONNECTION_RELEASED')
    return await this.#run(lease, classification, { text }, sink)
  }

  /** Lets more of a COPY come. */
  resume(): void {
    this.#lease?.client.resume()
  }

  /** Gives the connection back, or ends it unless the server has confirmed that it is idle. */
  release(): void {
    this.#released = true
    this.#close()
  }

  /** Nearly always the route is known and a connection idle: then nothing is waited for. */
  #openAtOnce(): Lease | null {
    const route = this.#released ? null : this.#router.current()
    const client = route?.pool.take()
    return route && client ? this.#keep(route, client) : null
  }

  async #open(): Promise<Lease> {
    for (let attempt = 1; attempt <= limits.attemptsMax; attempt += 1) {
      if (this.#released) throw new QuickScaleError('CONNECTION_RELEASED')
      const wanted = this.#router.current() ?? (await this.#router.resolve())
      const client = await wanted.pool.lease(wanted.tenantId).catch(async (error: unknown) => {
        if (attempt > 1 || !isOfGonePlace(error)) throw error
        await this.#router.refresh(wanted)
        return null
      })
      if (client === null) continue
      // Read again: the tenant may have moved during the wait, and the fence would refuse every waiter in turn.
      const route = this.#router.current() ?? wanted
      if (route.pool !== wanted.pool || this.#released) {
        wanted.pool.giveBack(client)
        continue
      }
      return this.#keep(route, client)
    }
    throw new QuickScaleError('TENANT_UNREACHABLE', {
      key: this.#router.key,
      reason: 'its route kept changing',
    })
  }

  #keep(route: Route, client: ScopedClient): Lease {
    const actor = this.#actor
    const scope: Scope = {
      schemaName: route.schemaName,
      statementTimeoutMs: this.#router.statementTimeoutMs ?? null,
      prepare: this.#router.prepare ?? false,
      token: () => route.tokens.token(actor, client.state.facts.clockOffsetSeconds),
    }
    this.#lease = { route, client, scope, sinceMs: performance.now() }
    return this.#lease
  }

  #close(): void {
    const lease = this.#lease
    this.#lease = null
    if (lease === null) return
    lease.route.usage.busyMs += performance.now() - lease.sinceMs
    lease.route.pool.giveBack(lease.client)
  }

  /** The tenant has been switched to this place, which is about to open. */
  async #awaitArrival(lease: Lease, waitedMs: number): Promise<void> {
    if (waitedMs > limits.arrivalOverdueMs) this.#router.hasten(lease.route)
    if (lease.client.state.status === 'E') await lease.client.rollBack(lease.scope)
    this.#close()
    await sleep(limits.arrivalPollMs)
  }

  /** Makes the next attempt possible, or throws the error it cannot help. */
  async #prepareRetry(
    lease: Lease,
    classification: Classification,
    error: unknown,
    attempt: number,
  ): Promise<void> {
    const alone = lease.client.state.status === 'I' && classification.kind === 'statement'
    if (isStaleStatement(error) && alone) return
    if (!(error instanceof EnterRefusal)) throw error
    if (lease.client.state.status === 'E') await lease.client.rollBack(lease.scope)
    if (error.sqlState === refusals.expired) {
      // One of the clocks was set: the next connection measures their difference anew.
      lease.client.state.spoiled = 'the clocks have drifted apart'
      lease.route.tokens.renew()
    }
    this.#close()
    if (error.sqlState === refusals.expired) return
    if (routeIsOld.has(error.sqlState)) {
      await this.#router.refresh(lease.route, parseDestination(error.detail))
    } else if (error.sqlState !== serializationFailure) throw this.#explain(error)
    await sleep(Math.min(limits.retryPauseMsMax, (limits.retryPauseMsMax / 10) * (attempt - 1)))
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof EnterRefusal)) return error
    const key = this.#router.key
    const options = { cause: error.cause }
    switch (error.sqlState) {
      case refusals.pending:
        return new QuickScaleError('TENANT_PROVISIONING', { key }, options)
      case refusals.suspended:
        return new QuickScaleError('TENANT_SUSPENDED', { key }, options)
      case refusals.archived:
        return new QuickScaleError('TENANT_ARCHIVED', { key }, options)
      case refusals.deleting:
        return new QuickScaleError('TENANT_DELETED', { key }, options)
      case refusals.seal:
        return new QuickScaleError('SEAL_REFUSED', {}, options)
      case refusals.moved:
      case refusals.absent:
      case refusals.expired:
        return new QuickScaleError('TENANT_UNREACHABLE', { key, reason: error.message }, options)
      default:
        return error.cause
    }
  }
}

function isArriving(error: unknown): boolean {
  return error instanceof EnterRefusal && error.sqlState === refusals.pending
}

/** The database, its login or the right to connect is gone: the tenant may have moved, or have been deleted. */
function isOfGonePlace(error: unknown): boolean {
  return error instanceof pg.DatabaseError && ['3D000', '28P01', '28000', '42501'].includes(error.code ?? '')
}

/** SQLSTATEs that quickscale.enter raises; see sql/tenant-database. */
const refusals = {
  moved: 'QS001',
  absent: 'QS003',
  seal: 'QS004',
  expired: 'QS005',
  pending: 'QS010',
  suspended: 'QS011',
  archived: 'QS012',
  deleting: 'QS013',
} as const
/** The tenant lives elsewhere, or its tokens are sealed with another key by now. */
const routeIsOld: ReadonlySet<string> = new Set([refusals.moved, refusals.absent, refusals.seal])
const serializationFailure = '40001'
