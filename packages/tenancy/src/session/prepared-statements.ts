import { LRUCache } from 'lru-cache'
import pg from 'pg'
import { limits } from '../limits.ts'

/** One prepared statement of one connection. */
export interface PreparedStatement {
  readonly key: string
  readonly name: string
  /** What the server is sent; behind a pooler it tells apart what the caller's text does not. */
  readonly text: string
  /**
   * The columns of its result as the driver described them, null for none, undefined before the first success. The
   * server keeps them fixed for the life of the statement, and the types of its parameters: a change of its tables makes it fail
   * where the columns would be others.
   */
  fields: readonly unknown[] | null | undefined
}

interface Connection {
  /** Random, so that injected SQL cannot prepare a statement of that name first. */
  readonly suffix: string
  /**
   * A transaction pooler is in between. It prepares what connections name as statements of its own, which it knows by their text, and
   * keeps them on each backend: the same text in two schemas, or before and after a change of tables, would be one statement.
   */
  readonly pooled: boolean
  /** Tells the server to forget a statement. */
  drop(name: string): void
}

/** The prepared statements of one connection: by schema and text, the oldest gives way. */
export class PreparedStatements {
  readonly #connection: Connection
  readonly #statements = new Map<string, PreparedStatement>()
  /** Texts that came once. */
  readonly #seen = new Set<string>()
  #given = 0

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** @returns null for a text too long to be kept */
  of(schemaName: string, text: string): PreparedStatement | null {
    if (text.length > limits.classifiedTextCachedCharacters) return null
    return this.#of(schemaName, text)
  }

  /** The same for a text that nobody has named: null for one that comes for the first time. */
  ofRepeated(schemaName: string, text: string): PreparedStatement | null {
    if (text.length > limits.repeatedTextPreparedCharacters) return null
    const key = `${schemaName}\0${text}`
    if (this.#statements.has(key) || this.#seen.delete(key)) return this.#of(schemaName, text)
    if (this.#seen.size >= limits.statementsPerConnection) this.#seen.clear()
    this.#seen.add(key)
    return null
  }

  #of(schemaName: string, text: string): PreparedStatement {
    const key = `${schemaName}\0${text}`
    const known = this.#statements.get(key)
    if (known !== undefined) {
      if (this.#statements.size < limits.statementsPerConnection / 2) return known
      this.#statements.delete(key)
      this.#statements.set(key, known)
      return known
    }
    this.#given += 1
    const name = `quickscale_${this.#given}_${this.#connection.suffix}`
    const sent = this.#connection.pooled ? distinguish(key, schemaName, text) : text
    const statement = { key, name, text: sent, fields: undefined }
    this.#statements.set(key, statement)
    const oldest = this.#statements.entries().next().value
    if (this.#statements.size > limits.statementsPerConnection && oldest !== undefined) {
      this.#statements.delete(oldest[0])
      this.#connection.drop(oldest[1].name)
    }
    return statement
  }

  /**
   * Makes the next use parse the statement anew, for the tables as they are then.
   *
   * @param error why: it may tell of other tables, for which whichever connection has prepared it
   */
  forget({ key, name, text }: PreparedStatement, error: Error): void {
    if (this.#statements.get(key)?.name !== name) return
    this.#statements.delete(key)
    this.#connection.drop(name)
    // Unless another connection has done so since it was prepared.
    if (this.#connection.pooled && tellsOfOtherTables(error) && text.endsWith(markOf(key)))
      renewals.set(key, name)
  }
}

/**
 * By schema and text, of all connections of this process: the name of a statement that was outdated. With it the text is another one, on
 * a connection that has just been opened too.
 */
const renewals = new LRUCache<string, string>({ max: limits.statementsPerConnection })

/** At the end a comment moves no position that an error names, and one of the caller's ends with its line. */
function distinguish(key: string, schemaName: string, text: string): string {
  return `${text}\n/* ${encodeURIComponent(schemaName)} ${markOf(key)}`
}

const markOf = (key: string): string => `${renewals.get(key) ?? 'first'} */`

/**
 * Whether a failure may come from what was prepared, and would come again: it was never parsed (the driver takes any ParseComplete of the
 * flush for its), or its tables, types and values do not go together any more.
 */
export function mayBeOutdated({ fields }: PreparedStatement, error: Error): boolean {
  return fields === undefined || tellsOfOtherTables(error)
}

/** Whether a failure may come from tables that have changed since. */
function tellsOfOtherTables(error: Error): boolean {
  const code = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  return isStaleStatement(error) || /^(22|26|42|XX)/.test(code)
}

/** True for a prepared statement whose tables were changed under it: nothing ran, and parsing it again helps. */
export function isStaleStatement(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError && error.code === '0A000' && error.routine === 'RevalidateCachedQuery'
  )
}
