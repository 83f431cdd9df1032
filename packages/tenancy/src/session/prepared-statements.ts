import pg from 'pg'
import { limits } from '../limits.ts'

/** One prepared statement of one connection. */
export interface PreparedStatement {
  readonly key: string
  readonly name: string
  /**
   * The columns of its result as the driver described them, null for none, undefined before the first success. The
   * server keeps them fixed for the life of the statement, and the types of its parameters: a change of its tables makes it fail
   * where the columns would be others.
   */
  fields: readonly unknown[] | null | undefined
}

/** The prepared statements of one connection: by schema and text, the oldest gives way. */
export class PreparedStatements {
  readonly #suffix: string
  readonly #drop: (name: string) => void
  readonly #statements = new Map<string, PreparedStatement>()
  /** Texts that came once. */
  readonly #seen = new Set<string>()
  #given = 0

  /**
   * @param suffix random per connection, so that injected SQL cannot prepare a statement of that name first
   * @param drop tells the server to forget a statement
   */
  constructor(suffix: string, drop: (name: string) => void) {
    this.#suffix = suffix
    this.#drop = drop
  }

  /** @returns null for a text too long to be kept */
  of(schemaName: string, text: string): PreparedStatement | null {
    if (text.length > limits.classifiedTextCachedCharacters) return null
    return this.#of(`${schemaName}\0${text}`)
  }

  /** The same for a text that nobody has named: null for one that comes for the first time. */
  ofRepeated(schemaName: string, text: string): PreparedStatement | null {
    if (text.length > limits.repeatedTextPreparedCharacters) return null
    const key = `${schemaName}\0${text}`
    if (this.#statements.has(key) || this.#seen.delete(key)) return this.#of(key)
    if (this.#seen.size >= limits.statementsPerConnection) this.#seen.clear()
    this.#seen.add(key)
    return null
  }

  #of(key: string): PreparedStatement {
    const known = this.#statements.get(key)
    if (known !== undefined) {
      if (this.#statements.size < limits.statementsPerConnection / 2) return known
      this.#statements.delete(key)
      this.#statements.set(key, known)
      return known
    }
    this.#given += 1
    const statement = { key, name: `quickscale_${this.#given}_${this.#suffix}`, fields: undefined }
    this.#statements.set(key, statement)
    const oldest = this.#statements.entries().next().value
    if (this.#statements.size > limits.statementsPerConnection && oldest !== undefined) {
      this.#statements.delete(oldest[0])
      this.#drop(oldest[1].name)
    }
    return statement
  }

  /** Makes the next use parse the statement anew, for the tables as they are then. */
  forget(statement: PreparedStatement): void {
    if (this.#statements.get(statement.key) !== statement) return
    this.#statements.delete(statement.key)
    this.#drop(statement.name)
  }
}

/**
 * Whether a failure may come from what was prepared, and would come again: it was never parsed (the driver takes any ParseComplete of the
 * flush for its), or its tables, types and values do not go together any more.
 */
export function mayBeOutdated({ fields }: PreparedStatement, error: Error): boolean {
  const code = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  return fields === undefined || isStaleStatement(error) || /^(22|26|42|XX)/.test(code)
}

/** True for a prepared statement whose tables were changed under it: nothing ran, and parsing it again helps. */
export function isStaleStatement(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError && error.code === '0A000' && error.routine === 'RevalidateCachedQuery'
  )
}
