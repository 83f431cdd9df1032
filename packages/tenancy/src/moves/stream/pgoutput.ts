/**
 * Reads the messages of the output plugin pgoutput, protocol version 1 (PostgreSQL, "Logical Replication Message
 * Formats"). Values stay the text that the server wrote: the parser that comes with the replication library turns
 * them into JavaScript values, which loses the microseconds of a timestamp.
 */

import type pg from 'pg'
import { AbstractPlugin } from 'pg-logical-replication/dist/output-plugins/abstract.plugin.js'
import { quoteIdentifier, quoteLiteral } from '../../identifiers.ts'

/** A value as text; null; undefined when it is stored apart and has not changed. */
export type Value = string | null | undefined

export interface Relation {
  readonly schema: string
  readonly name: string
  readonly columns: readonly string[]
}

interface Sized {
  /** Of the message, as the server has sent it. */
  readonly bytes: number
}

export type Message =
  | { readonly kind: 'begin' }
  | {
      readonly kind: 'commit'
      readonly endLsn: string
      /** By the server's clock, from 2000-01-01. */
      readonly committedAtMs: number
    }
  | { readonly kind: 'relation'; readonly relation: Relation }
  | (Sized & { readonly kind: 'insert'; readonly relation: Relation; readonly row: readonly Value[] })
  | (Sized & {
      readonly kind: 'update'
      readonly relation: Relation
      /** The row's key before, when it changed: all columns, those outside the key null. */
      readonly old: readonly Value[] | null
      readonly row: readonly Value[]
    })
  | (Sized & { readonly kind: 'delete'; readonly relation: Relation; readonly old: readonly Value[] })
  | { readonly kind: 'marker'; readonly content: string }
  | { readonly kind: 'other' }

/** The prefix of the messages that a mover writes into the log. */
export const MARKER_PREFIX = 'quickscale move'

/** The plugin as the replication library wants it. */
export class RowTexts extends AbstractPlugin<{ publication: string }> {
  readonly #relations = new Map<number, Relation>()

  get name(): string {
    return 'pgoutput'
  }

  start(client: pg.Client, slot: string, lsn: string): Promise<unknown> {
    const publication = quoteLiteral(quoteIdentifier(this.options.publication))
    return client.query(
      `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${lsn}
         (proto_version '1', publication_names ${publication}, messages 'true')`,
    )
  }

  parse(buffer: Buffer): Message {
    const reader = new Reader(buffer)
    const kind = String.fromCharCode(reader.byte())
    switch (kind) {
      case 'B':
        return { kind: 'begin' }
      case 'C':
        reader.skip(1 + 8)
        return { kind: 'commit', endLsn: reader.lsn(), committedAtMs: reader.microseconds() / 1000 }
      case 'R':
        return { kind: 'relation', relation: this.#readRelation(reader) }
      case 'I': {
        const relation = this.#relation(reader)
        reader.skip(1)
        return { kind: 'insert', relation, row: reader.row(), bytes: buffer.length }
      }
      case 'U': {
        const relation = this.#relation(reader)
        const old = String.fromCharCode(reader.byte()) === 'N' ? null : reader.row()
        if (old !== null) reader.skip(1)
        return { kind: 'update', relation, old, row: reader.row(), bytes: buffer.length }
      }
      case 'D': {
        const relation = this.#relation(reader)
        reader.skip(1)
        return { kind: 'delete', relation, old: reader.row(), bytes: buffer.length }
      }
      case 'M': {
        reader.skip(1 + 8)
        const prefix = reader.text()
        const content = reader.sized()
        return prefix === MARKER_PREFIX ? { kind: 'marker', content } : { kind: 'other' }
      }
      default:
        // Type, origin: nothing that rows need. TRUNCATE is not published.
        return { kind: 'other' }
    }
  }

  #readRelation(reader: Reader): Relation {
    const id = reader.int32()
    const schema = reader.text()
    const name = reader.text()
    reader.skip(1)
    const columns = Array.from({ length: reader.int16() }, () => {
      reader.skip(1)
      const column = reader.text()
      reader.skip(4 + 4)
      return column
    })
    const relation = { schema, name, columns }
    this.#relations.set(id, relation)
    return relation
  }

  #relation(reader: Reader): Relation {
    const relation = this.#relations.get(reader.int32())
    if (relation === undefined) throw new Error('a change of a table that was not announced')
    return relation
  }
}

class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  skip(bytes: number): void {
    this.#at += bytes
  }

  byte(): number {
    this.#at += 1
    return this.#buffer.readUInt8(this.#at - 1)
  }

  int16(): number {
    this.#at += 2
    return this.#buffer.readInt16BE(this.#at - 2)
  }

  int32(): number {
    this.#at += 4
    return this.#buffer.readInt32BE(this.#at - 4)
  }

  lsn(): string {
    this.#at += 8
    return formatLsn(this.#buffer.readBigUInt64BE(this.#at - 8))
  }

  microseconds(): number {
    this.#at += 8
    return Number(this.#buffer.readBigInt64BE(this.#at - 8))
  }

  /** Up to a zero byte. */
  text(): string {
    const end = this.#buffer.indexOf(0, this.#at)
    const text = this.#buffer.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  sized(): string {
    const length = this.int32()
    this.#at += length
    return this.#buffer.toString('utf8', this.#at - length, this.#at)
  }

  row(): Value[] {
    return Array.from({ length: this.int16() }, () => {
      const kind = String.fromCharCode(this.byte())
      if (kind === 'n') return null
      if (kind === 'u') return undefined
      return this.sized()
    })
  }
}

export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`
}

export function parseLsn(text: string): bigint {
  const [high = '0', low = '0'] = text.split('/')
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}
