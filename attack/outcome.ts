import { QuickScaleError } from '@quickscale/tenancy'
import pg from 'pg'

/** What one statement gave to whoever sent it: rows, or an error. */
export interface Outcome {
  /** `rows`, or the code of the error: an SQLSTATE or one of QuickScaleError. */
  readonly code: string
  /** Everything readable in the answer, columns and fields of errors alike. */
  readonly text: string
  /** Values as the server printed them. */
  readonly rows: readonly (readonly unknown[])[]
}

/** Codes of the outcomes that an attack foresees; any other one makes it invalid. */
export type Expected = readonly string[]

/** No conversion: a value that a parser cannot read must not hide what was sent. */
export const rawTypes: pg.CustomTypesConfig = { getTypeParser: () => (value: unknown) => value }

export async function observe(run: () => Promise<pg.QueryResult | pg.QueryResult[]>): Promise<Outcome> {
  try {
    const results = [await run()].flat()
    const rows = results.flatMap((result): unknown[][] => result.rows)
    const commands = results.map(({ command, rowCount }) => `${command} ${rowCount}`)
    return { code: 'rows', text: [...commands, ...rows.map((row) => JSON.stringify(row))].join('\n'), rows }
  } catch (error) {
    return { code: codeOf(error), text: describe(error), rows: [] }
  }
}

function codeOf(error: unknown): string {
  if (error instanceof QuickScaleError) return error.code
  if (error instanceof pg.DatabaseError && error.code !== undefined) return error.code
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

/** All that an error tells, its causes included. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const fields = Object.getOwnPropertyNames(error)
    .filter((name) => name !== 'stack' && name !== 'cause')
    .map((name) => `${name}: ${JSON.stringify(Reflect.get(error, name))}`)
  return [...fields, ...(error.cause === undefined ? [] : [describe(error.cause)])].join('\n')
}
