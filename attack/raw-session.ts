import pg from 'pg'
import type { Ledger, Who } from './ledger.ts'
import { type Expected, type Outcome, observe, rawTypes } from './outcome.ts'

/** Longer than any statement of an attack should take, shorter than the patience of whoever waits for the suite. */
const statementTimeoutMs = 5_000

/** Something SQL can be sent through. */
export interface Door {
  /** Sends a statement and keeps in the ledger what came back. */
  try(expected: Expected, text: string, values?: readonly unknown[]): Promise<Outcome>
}

/** Through the library, and on a connection of the attacker's own on which its context was entered. */
export async function everywhere(
  ground: { api(): Door; raw(): Promise<RawSession> },
  attempt: (door: Door) => Promise<unknown>,
): Promise<void> {
  await attempt(ground.api())
  await attempt(await ground.raw())
}

/** pg's connection, as far as COPY and savepoints need it. */
interface CopyWire {
  on(event: 'copyData', listener: (message: { chunk: Buffer }) => void): void
  on(event: 'readyForQuery', listener: (message: { status: string }) => void): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

/** A connection of its own on which the attacker decides about every byte; texts without values go as simple queries. */
export class RawSession implements Door {
  readonly client: pg.Client
  readonly #ledger: Ledger
  readonly #who: Who
  #inTransaction = false
  #closed = false

  private constructor(client: pg.Client, ledger: Ledger, who: Who) {
    this.client = client
    this.#ledger = ledger
    this.#who = who
    wireOf(client).on('readyForQuery', ({ status }) => {
      this.#inTransaction = status === 'T'
    })
  }

  static async open(config: pg.ClientConfig, ledger: Ledger, who: Who): Promise<RawSession> {
    const client = new pg.Client({
      application_name: 'attack',
      statement_timeout: statementTimeoutMs,
      ...config,
    })
    client.on('error', (error) => ledger.hear(who, error.message))
    client.on('notice', (notice) => ledger.hear(who, JSON.stringify({ ...notice, message: notice.message })))
    client.on('notification', (notification) => ledger.hear(who, JSON.stringify(notification)))
    await client.connect()
    wireOf(client).on('copyData', ({ chunk }) => ledger.hear(who, chunk.toString('utf8')))
    return new RawSession(client, ledger, who)
  }

  /** Inside a transaction a failed statement is taken back to a savepoint, so that the next one has its chance. */
  async try(expected: Expected, text: string, values?: readonly unknown[]): Promise<Outcome> {
    const config = { text, rowMode: 'array' as const, types: rawTypes }
    const outcome = await this.#withSavepoint(() =>
      observe(() => this.client.query(values === undefined ? config : { ...config, values: [...values] })),
    )
    return this.#ledger.note(this.#who, text, outcome, expected)
  }

  /** COPY … FROM STDIN with rows in its text format. */
  async tryCopyFrom(expected: Expected, text: string, data: string): Promise<Outcome> {
    const copy = () =>
      new Promise<pg.QueryResult>((resolve, reject) => {
        const query = new pg.Query(text, [], (error, result) =>
          error === null ? resolve(result) : reject(error),
        )
        const sendRows = (wire: CopyWire) => {
          wire.sendCopyFromChunk(Buffer.from(data, 'utf8'))
          wire.endCopyFrom()
        }
        this.client.query(Object.assign(query, { handleCopyInResponse: sendRows }))
      })
    const outcome = await this.#withSavepoint(() => observe(copy))
    return this.#ledger.note(this.#who, text, outcome, expected)
  }

  /** What the attacker has written stays: only what is committed can be found afterwards. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#inTransaction)
      await this.client.query('commit').catch((error: Error) => this.#ledger.hear(this.#who, error.message))
    await this.client.end()
  }

  async #withSavepoint(send: () => Promise<Outcome>): Promise<Outcome> {
    if (!this.#inTransaction) return await send()
    await this.client.query('savepoint attempt')
    const outcome = await send()
    if (outcome.code !== 'rows')
      await this.client.query('rollback to savepoint attempt').catch(() => undefined)
    return outcome
  }
}

function wireOf(client: pg.Client): CopyWire {
  return (client as unknown as { connection: CopyWire }).connection
}
