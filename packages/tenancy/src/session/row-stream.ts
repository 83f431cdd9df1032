/** Rows in batches through a cursor inside a scoped transaction, asked for only as fast as they are read. */

import type pg from 'pg'
import { assertNumber } from '../arguments.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import { ReadingClient, type ReadingOptions } from './reading-client.ts'
import type { Router } from './route.ts'
import type { Statement } from './scope.ts'
import { readStatement } from './tenant-client.ts'

export interface StreamOptions extends ReadingOptions {
  /** Rows fetched at once, 1 to 10000. @defaultValue 500 */
  readonly batchSize?: number
}

/** See TenantHandle.stream. */
export async function* streamRows<Row extends pg.QueryResultRow>(
  router: Router,
  actor: Actor | null,
  statement: string | Statement,
  values: unknown[] | undefined,
  options: StreamOptions = {},
): AsyncGenerator<Row, void, undefined> {
  const { text, values: parameters, name: _unused, ...format } = readStatement(statement, values)
  assertNumber('batchSize', options.batchSize)
  const batchSize = Math.min(
    Math.max(1, Math.trunc(options.batchSize ?? limits.streamBatchRows)),
    limits.streamBatchRowsMax,
  )
  const client = new ReadingClient(router, actor, options)
  const ask = (asked: Statement) => client.query<Row>(asked)
  try {
    await client.begin()
    const cursor = `declare quickscale_stream no scroll cursor for ${text}`
    await ask({ text: cursor, ...(parameters && { values: parameters }) })
    for (let full = true; full; ) {
      const { rows } = await ask({ text: `fetch ${batchSize} from quickscale_stream`, ...format })
      for (const row of rows) {
        client.waitForReader()
        yield row
      }
      full = rows.length === batchSize
    }
  } finally {
    await client.end()
  }
}
