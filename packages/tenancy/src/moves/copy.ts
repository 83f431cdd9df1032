import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { quoteLiteral, quoteQualified } from '../identifiers.ts'
import { limits } from '../limits.ts'
import type { MoveProgress } from '../move.ts'
import type { End } from './end.ts'
import { columnList, type MovedTable } from './tables.ts'
import type { Throttle } from './throttle.ts'

/** What a copy is made with. */
export interface CopyWork {
  readonly source: End
  readonly target: End
  readonly tables: readonly MovedTable[]
  readonly tenantId: string
  /** To the source; counts the rows on their way now and then. */
  readonly watcher: pg.ClientBase
  /** In a transaction with the slot's snapshot. */
  readonly reader: pg.Client
  /** To the target, in the role of a replica. */
  readonly writer: pg.Client
  readonly throttle: Throttle
  readonly signal: AbortSignal
  onProgress(progress: MoveProgress): void
}

/** Copies all rows of the tenant, table by table, without ever holding more than a few buffers of them. */
export async function copyRows(work: CopyWork): Promise<MoveProgress> {
  const startedAt = performance.now()
  let [rowsCopied, bytesCopied] = [0, 0]
  const tell = () => {
    const seconds = Math.max(0.001, (performance.now() - startedAt) / 1000)
    const progress = { rowsCopied, bytesCopied, rowsPerSecond: Math.round(rowsCopied / seconds) }
    work.onProgress(progress)
    return progress
  }
  for (const table of work.tables) {
    const before = rowsCopied
    const sofar = await createRowCounter(work)
    rowsCopied =
      before +
      (await copyTable(work, table, async (bytes) => {
        bytesCopied += bytes
        rowsCopied = before + (await sofar())
        tell()
      }))
  }
  return tell()
}

/** How many rows of the table that is being copied have gone, as far as is known: it is asked for now and then. */
async function createRowCounter({ watcher, reader }: CopyWork): Promise<() => Promise<number>> {
  const { rows: own } = await reader.query<{ pid: number }>('select pg_backend_pid() as pid')
  let [known, askedAt] = [0, performance.now()]
  return async () => {
    if (performance.now() - askedAt < limits.moveProgressMs) return known
    const { rows } = await watcher.query<{ rows: number }>(
      'select tuples_processed::float8 as rows from pg_stat_progress_copy where pid = $1',
      [own[0]?.pid],
    )
    askedAt = performance.now()
    // The last rows are on their way when the copy itself has ended.
    known = rows[0]?.rows ?? known
    return known
  }
}

async function copyTable(
  { source, target, tenantId, reader, writer, throttle, signal }: CopyWork,
  table: MovedTable,
  count: (bytes: number) => Promise<void>,
): Promise<number> {
  // In binary form some types name others by number, and numbers are each database's own.
  const format = table.columns.every(({ portable }) => portable) ? 'binary' : 'text'
  const columns = columnList(table)
  const rows = `select ${columns} from ${quoteQualified(source.place.schemaName, table.name)}
     where tenant_id = ${quoteLiteral(tenantId)}`
  const into = quoteQualified(target.place.schemaName, table.name)
  const reading = reader.query(copyTo(`copy (${rows}) to stdout (format ${format})`))
  const writing = writer.query(copyFrom(`copy ${into} (${columns}) from stdin (format ${format})`))
  const slowing = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      count(chunk.length)
        .then(() => throttle.pass())
        .then(() => done(null, chunk), done)
    },
  })
  await pipeline(reading, slowing, writing, { signal })
  return writing.rowCount
}
