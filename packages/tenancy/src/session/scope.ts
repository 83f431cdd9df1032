import type pg from 'pg'
import type { Token } from './token.ts'

/** On whose behalf a flush runs. Identity matters: a transaction belongs to the scope that began it. */
export interface Scope {
  readonly schemaName: string
  /** Less than the connection's own, for each statement; null for that. */
  readonly statementTimeoutMs: number | null
  /** Texts without a name are prepared when they come again. */
  readonly prepare: boolean
  token(): Token
}

/** Takes what a COPY TO STDOUT sends. */
export interface CopySink {
  /** How long it may last, its reader's time included. */
  readonly timeoutMs: number
  /** @returns false when nothing more is wanted until the client is resumed */
  take(chunk: Buffer): boolean
}

/** A statement as the caller gives it; `name` makes it a prepared one. */
export interface Statement {
  text: string
  values?: unknown[]
  name?: string
  rowMode?: 'array'
  types?: pg.CustomTypesConfig
}

/** How a connection reaches its database. */
export interface ScopedClientOptions {
  readonly url: string
  readonly statementTimeoutMs: number
  /** A transaction pooler is in between; null where none is. */
  readonly pooler: PoolerTraits | null
}

/** What a transaction pooler can do. */
export interface PoolerTraits {
  /** It makes a prepared statement known to every backend. */
  readonly namedStatements: boolean
}
