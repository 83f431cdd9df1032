import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Tenancy } from '@quickscale/tenancy'
import type { Random } from '../packages/server/src/demo/random.ts'
import type { Ledger } from './ledger.ts'

/** Writers do not meet: each has ids of its own. Those of another tenant's writers are the same. */
const idsPerWriter = 100_000

/** What a writer works with. */
export interface WriterSite {
  readonly tenancy: Tenancy
  readonly ledger: Ledger
  readonly random: Random
  /** Mean pause between two writes. */
  readonly pauseMs: number
}

/** A client of the application: inserts, updates and deletes, and keeps account of it. */
export class Writer {
  readonly errors: unknown[] = []
  /** Writes that were acknowledged and did not hit their row. */
  readonly missed: string[] = []
  readonly #site: WriterSite
  readonly #key: string
  readonly #number: number
  #stopped = false
  readonly #running: Promise<void>

  /** @param number of the writer: its ids are its own */
  constructor(site: WriterSite, key: string, number: number) {
    this.#site = site
    this.#key = key
    this.#number = number
    this.#running = this.#work()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #work(): Promise<void> {
    const { random, pauseMs } = this.#site
    for (let turn = 1; !this.#stopped; turn += 1) {
      await this.#write(turn)
      await sleep(pauseMs * random.next() * 2)
    }
  }

  async #write(turn: number): Promise<void> {
    const { ledger, random, tenancy } = this.#site
    const first = this.#number * idsPerWriter
    const known = ledger.known(first, first + idsPerWriter)
    const kind = known.length < 20 ? 'insert' : random.pick(['insert', 'update', 'update', 'delete'] as const)
    const id = kind === 'insert' ? first + random.below(idsPerWriter) : random.pick(known)
    // A row whose last write nobody knows may be there.
    if (kind === 'insert' && !ledger.isFree(id)) return
    const body = `${this.#key} ${this.#number} ${turn}`
    const attachment = attachmentOf(id)
    const entry = ledger.begin(id, kind === 'delete' ? null : rowText(body, attachment))
    try {
      const { rowCount } = await tenancy.tenant(this.#key).query(
        {
          insert: {
            text: 'insert into item (id, body, attachment) values ($1, $2, $3)',
            values: [id, body, attachment],
          },
          update: { text: 'update item set body = $2 where id = $1', values: [id, body] },
          delete: { text: 'delete from item where id = $1', values: [id] },
        }[kind],
      )
      entry.acknowledge()
      if (rowCount !== 1) this.missed.push(`${kind} of row ${id} hit ${rowCount} rows`)
    } catch (error) {
      this.errors.push(error)
    }
  }
}

/** Some rows have a value that is kept apart from the others. */
function attachmentOf(id: number): string | null {
  if (id % 8 !== 0) return null
  return Array.from({ length: 60 }, (_, part) =>
    createHash('sha256').update(`${id} ${part}`).digest('hex'),
  ).join('')
}

/** A row as one text. */
export function rowText(body: string, attachment: string | null): string {
  return `${body} ${attachment === null ? '' : createHash('md5').update(attachment).digest('hex')}`
}
