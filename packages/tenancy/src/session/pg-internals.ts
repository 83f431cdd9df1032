/**
 * Everything that leans on the inside of the `pg` driver, and nothing else.
 *
 * One flush carries a statement and what belongs around it; the server answers it as one implicit transaction:
 *
 *   autocommit   enter │ statement │ clean-up │ Sync
 *   BEGIN        begin │ enter               │ Sync
 *   in between   statement                   │ Sync
 *   COMMIT       commit │ clean-up           │ Sync
 *
 * What to send is decided when the driver submits the query, by the transaction status of the last ReadyForQuery,
 * never by what the caller is believed to have done. An error is reported after the ReadyForQuery that follows
 * it, so that whoever releases the connection knows its state.
 *
 * Behind a transaction pooler any backend may answer a flush, so every statement travels as an unnamed one, unless the
 * pooler keeps names, and a SET LOCAL in the flush stands for the time limit of the session:
 *
 *   enter │ limit │ statement │ clean-up │ Sync          begin │ enter │ limit │ Sync
 *
 * Only the middle part is described, so only it yields a RowDescription; of a prepared statement only the first time,
 * because the server keeps its columns fixed. (A pooler does not: the next backend may prepare it for other columns.)
 * enter and the clean-ups are parsed when the connection opens: pg credits any ParseComplete to the active query's name, and a refused enter would leave the
 * caller's statement marked as parsed.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { allow, type Classification } from './classify.ts'
import { ConnectionState, type TransactionStatus } from './connection-state.ts'
import { contextStatements, openingFacts, readOpeningFacts } from './context.ts'
import { EnterRefusal } from './enter-refusal.ts'
import { mayBeOutdated, type PreparedStatement, PreparedStatements } from './prepared-statements.ts'
import type { CopySink, Scope, ScopedClientOptions, Statement } from './scope.ts'

/** The messages of the extended query protocol, as pg's Connection sends them. */
interface Wire {
  readonly stream: {
    cork(): void
    uncork(): void
    pause(): void
    resume(): void
    readonly writable: boolean
    destroy(error?: Error): void
  }
  readonly parsedStatements: Record<string, string>
  parse(message: { text: string; name: string }): void
  bind(message: { statement: string; values: readonly unknown[] }): void
  execute(message: { portal: string; rows?: number }): void
  describe(message: unknown): void
  close(message: { type: 'S'; name: string }): void
  sync(): void
  on(event: string, listener: (message: never) => void): void
  once(event: string, listener: () => void): void
  off(event: string, listener: () => void): void
}

/** The methods of pg's Query that its Client calls, and those that we override. */
interface DriverQuery {
  name?: string | undefined
  text: string
  portal: string
  queryMode: string
  callback: (error: Error | null, result?: pg.QueryResult) => void
  readonly _results: pg.QueryResult
  _canceledDueToError: Error | false
  prepare(wire: Wire): void
  handleRowDescription(message: { fields: readonly unknown[] }): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, wire: Wire): void
  handleCopyData(message: { chunk: Buffer }, wire: Wire): void
  handleError(error: Error, wire: Wire): void
  handleReadyForQuery(wire: Wire): void
}

type DriverQueryClass = new (statement: string | Statement, values?: unknown[]) => DriverQuery

const DriverQueryBase = pg.Query as unknown as DriverQueryClass

/** Older drivers leave the flush open when a parameter cannot be written, and nothing would ever answer it. */
const driverSyncsFailedBind = String(DriverQueryBase.prototype.prepare).includes('.sync()')

type Part = 'enter' | 'main' | 'after'

class ScopedQuery extends DriverQueryBase {
  sink: CopySink | null = null
  readonly #client: ScopedClient
  readonly #scope: Scope
  readonly #statement: Classification
  #parts: Part[] = []
  #at = 0
  #submitted = false
  #finished = false
  #failure: Error | null = null
  #prepared: PreparedStatement | null = null
  #fields: readonly unknown[] | null = null

  constructor(client: ScopedClient, scope: Scope, classification: Classification, statement: Statement) {
    // The driver copies a configuration object field by field; most statements are a text and values.
    const plain = statement.rowMode === undefined && statement.types === undefined
    super(plain ? statement.text : statement, statement.values)
    if (statement.name !== undefined) this.name = statement.name
    this.queryMode = 'extended'
    this.#client = client
    this.#scope = scope
    this.#statement = classification
  }

  submit(wire: Wire): Error | null {
    const refusal = this.#client.state.beginFlush(this.#scope, this.#statement)
    if (refusal !== null) return refusal
    this.#submitted = true
    if (this.sink !== null) this.#client.state.busySince = performance.now() + this.sink.timeoutMs
    wire.stream.cork()
    try {
      this.#prepared = this.#client.namesKept ? this.#prepareOnce() : null
      this.name = this.#prepared?.name ?? ''
      this.text = this.#prepared?.text ?? this.text
      const opensHere = this.#client.state.status === 'I' && this.#statement.kind === 'statement'
      if (opensHere) this.#sendEnter(wire)
      this.#parts.push('main')
      const fields = this.#prepared?.fields
      if (fields !== null && fields !== undefined) this.#describe(fields)
      this.prepare(fields === undefined ? wire : this.#client.wireWithoutDescribe)
      if (this.#failure !== null && !driverSyncsFailedBind) wire.sync()
    } finally {
      wire.stream.uncork()
    }
    return null
  }

  /**
   * A statement with a name and, where that is wanted, one without that keeps coming on its own: if its tables have changed it can
   * be run again. In a transaction it could not, and there its author may have set what planning depends on.
   */
  #prepareOnce(): PreparedStatement | null {
    const { statements, state, pooled } = this.#client
    const { schemaName, prepare } = this.#scope
    if (this.name !== undefined && this.name !== '') return statements.of(schemaName, this.text)
    if (!prepare || pooled || state.status !== 'I' || !this.#statement.timeless) return null
    return statements.ofRepeated(schemaName, this.text)
  }

  #sendEnter(wire: Wire): void {
    this.#parts.push('enter')
    this.#client.sendFixed('enter', this.#scope.token())
    const own = this.#client.statementTimeoutMs
    const wanted = this.#scope.statementTimeoutMs ?? own
    // The connection has its own from its beginning, but for one that a pooler has begun. PostgreSQL begins to count at each
    // statement, so this holds for the one that follows in the same flush.
    if (!this.#client.pooled && wanted >= own) return
    this.#parts.push('after')
    wire.parse({ name: '', text: `set local statement_timeout = ${Math.min(wanted, own)}` })
    wire.bind({ statement: '', values: [] })
    wire.execute({ portal: '' })
  }

  /** Called by the driver where it would execute the portal and send Sync. */
  _getRows(wire: Wire, rows?: number): void {
    wire.execute({ portal: this.portal, ...(rows === undefined ? {} : { rows }) })
    if (this.#statement.kind === 'begin') this.#sendEnter(wire)
    for (const cleanUp of this.#client.state.cleanUps(this.#statement)) {
      this.#parts.push('after')
      this.#client.sendFixed(cleanUp, [])
    }
    wire.sync()
  }

  override handleRowDescription(message: { fields: readonly unknown[] }): void {
    this.#fields = message.fields
    this.#describe(message.fields)
  }

  /** Finding a parser for each column runs the caller's code. */
  #describe(fields: readonly unknown[]): void {
    try {
      super.handleRowDescription({ fields })
    } catch (error) {
      this._canceledDueToError = asError(error)
    }
  }

  override handleDataRow(message: unknown): void {
    if (this.#parts[this.#at] === 'main') super.handleDataRow(message)
  }

  override handleCommandComplete(message: unknown, wire: Wire): void {
    if (this.#parts[this.#at] === 'main') super.handleCommandComplete(message, wire)
    this.#at += 1
  }

  /** The driver's parser uses the memory of the chunk again. */
  override handleCopyData(message: { chunk: Buffer }, wire: Wire): void {
    if (this.sink?.take(Buffer.from(message.chunk)) === false) wire.stream.pause()
  }

  override handleError(error: Error, wire: Wire): void {
    const fromServer = typeof error === 'object' && error !== null && 'severity' in error
    // The driver has closed a statement whose parameters it could not write.
    if (this.#prepared !== null && (!fromServer || mayBeOutdated(this.#prepared, error))) {
      this.#client.statements.forget(this.#prepared, error)
    }
    const refused = this.#parts[this.#at] === 'enter' && fromServer
    this.#failure ??= refused ? new EnterRefusal(error) : asError(error)
    if (!this.#submitted || !wire.stream.writable) {
      this.#finish()
      return
    }
    const settle = () => {
      wire.off('readyForQuery', settle)
      wire.off('end', settle)
      this.#finish()
    }
    wire.once('readyForQuery', settle)
    wire.once('end', settle)
  }

  override handleReadyForQuery(): void {
    this.#failure ??= this._canceledDueToError === false ? null : this._canceledDueToError
    this.#finish()
  }

  #finish(): void {
    if (this.#finished) return
    this.#finished = true
    const error = this.#failure
    const isKept = error === null && this.#statement.fixedColumns && !this.#client.pooled
    if (isKept && this.#prepared !== null) this.#prepared.fields ??= this.#fields
    this.#client.state.endFlush(this.#scope, error !== null && !(error instanceof EnterRefusal))
    if (error === null) this.callback(null, this._results)
    else this.callback(error)
  }
}

/** Parses the fixed statements and reads the facts about this session, in one round trip. */
class OpeningQuery extends DriverQueryBase {
  readonly #statements: ReadonlyMap<string, string>

  constructor(statements: ReadonlyMap<string, string>) {
    super(openingFacts, [])
    this.queryMode = 'extended'
    this.#statements = statements
  }

  submit(wire: Wire): null {
    wire.stream.cork()
    for (const [name, text] of this.#statements) wire.parse({ name, text })
    this.prepare(wire)
    wire.stream.uncork()
    return null
  }
}

/** A connection that runs nothing but scoped statements. */
export class ScopedClient extends pg.Client {
  readonly state = new ConnectionState()
  readonly statements: PreparedStatements
  /** Names of the statements every connection prepares. */
  readonly prepared: Readonly<Record<keyof typeof contextStatements, string>>

  /** For a statement whose columns are known already. */
  readonly wireWithoutDescribe: Wire

  /** A transaction pooler is in between. */
  readonly pooled: boolean
  /** A prepared statement is known by its name later on. */
  readonly namesKept: boolean
  readonly statementTimeoutMs: number

  constructor({ url, statementTimeoutMs, pooler }: ScopedClientOptions) {
    super({
      connectionString: url,
      application_name: 'quickscale',
      // Poolers refuse it when a connection begins.
      ...(pooler === null ? { statement_timeout: statementTimeoutMs } : {}),
    })
    this.pooled = pooler !== null
    this.namesKept = pooler === null || pooler.namedStatements
    this.statementTimeoutMs = statementTimeoutMs
    this.state.pooled = this.pooled
    const suffix = randomBytes(6).toString('hex')
    const wire = wireOf(this)
    this.prepared = {
      enter: `quickscale_enter_${suffix}`,
      resetAll: `quickscale_reset_${suffix}`,
      unlockAll: `quickscale_unlock_${suffix}`,
    }
    this.statements = new PreparedStatements({
      suffix,
      pooled: this.pooled,
      drop: (name) => {
        delete wire.parsedStatements[name]
        wire.close({ type: 'S', name })
      },
    })
    this.wireWithoutDescribe = Object.create(wire, { describe: { value: () => undefined } })
    // Before the driver's own listener: it submits the next query, which reads the status.
    wire.on('readyForQuery', (message: { status: TransactionStatus }) => {
      this.state.status = message.status
    })
    wire.on('parameterStatus', (message: { parameterName: string; parameterValue: string }) => {
      this.state.noteParameter(message.parameterName, message.parameterValue)
    })
    // A connection the server ends while it is checked out has no other listener, and an unheard 'error' ends Node.
    this.on('error', (error) => {
      this.state.spoiled ??= error.message
    })
  }

  /**
   * Connects, prepares the fixed statements and reads the facts about the session.
   *
   * @throws QuickScaleError `CONNECTION_TIMEOUT` when that takes longer, `ROLE_UNSAFE`
   */
  async open(milliseconds: number): Promise<void> {
    const timeout = new QuickScaleError('CONNECTION_TIMEOUT', { milliseconds })
    const timer = setTimeout(() => this.abort(timeout), milliseconds)
    const startedMs = performance.now()
    try {
      await this.connect()
      await this.#open()
      const openedMs = performance.now()
      // Opening costs more than most statements: it must pay.
      const turnMs = (openedMs - startedMs) * limits.connectionTurnFactor
      this.state.turnEndsAtMs = openedMs + Math.min(turnMs, limits.connectionTurnMsMax)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Binds and executes one of the fixed statements. */
  sendFixed(key: keyof typeof contextStatements, values: readonly unknown[]): void {
    const wire = wireOf(this)
    if (!this.namesKept) wire.parse({ name: '', text: contextStatements[key] })
    wire.bind({ statement: this.namesKept ? this.prepared[key] : '', values })
    wire.execute({ portal: '' })
  }

  async #open(): Promise<void> {
    const statements = new Map(
      Object.entries(this.namesKept ? contextStatements : {}).map(([key, text]) => [
        this.prepared[key as keyof typeof contextStatements],
        text,
      ]),
    )
    const query = new OpeningQuery(statements)
    const result = await new Promise<pg.QueryResult>((resolve, reject) => {
      query.callback = (error, rows) => (error === null && rows ? resolve(rows) : reject(error))
      super.query(query as unknown as pg.Submittable)
    })
    this.state.open(readOpeningFacts(result.rows[0]))
  }

  /** Runs one classified statement in the scope; resolves after the server is ready for the next. */
  run(
    scope: Scope,
    classification: Classification,
    statement: Statement,
    sink: CopySink | null = null,
  ): Promise<pg.QueryResult> {
    return new Promise((resolve, reject) => {
      const query = new ScopedQuery(this, scope, classification, statement)
      query.sink = sink
      query.callback = (error, result) => (error === null && result ? resolve(result) : reject(error))
      super.query(query as unknown as pg.Submittable)
    })
  }

  /** Lets more of a COPY come, after its sink wanted no more. */
  resume(): void {
    wireOf(this).stream.resume()
  }

  /** Ends an open transaction, a failed one too. */
  async rollBack(scope: Scope): Promise<void> {
    await this.run(scope, { ...allow(), kind: 'end' }, { text: 'rollback' })
  }

  /** Ends the connection: politely, or at once where a statement is running. The event `end` follows. */
  close(): void {
    this.end(() => undefined)
  }

  /** Ends the connection at once, without waiting for a running statement. */
  abort(error: Error): void {
    this.state.spoiled = error.message
    wireOf(this).stream.destroy(error)
  }
}

/** What the caller's own code threw, which may be anything. */
function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`thrown: ${String(thrown)}`)
}

function wireOf(client: object): Wire {
  return (client as { connection: Wire }).connection
}
