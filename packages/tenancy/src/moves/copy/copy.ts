import { addAbortSignal, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { quoteLiteral, quoteQualified } from '../../identifiers.ts'
import { inTransaction } from '../../in-transaction.ts'
import { limits } from '../../limits.ts'
import type { MoveProgress } from '../../move.ts'
import type { End } from '../end.ts'
import { columnList, type MovedTable } from '../tables.ts'
import { restingCondition, type Throttle } from '../throttle.ts'
import { framed, piecesOf } from './pieces.ts'

interface CopyEnd {
  readonly place: Pick<End['place'], 'schemaName'>
}

/** What a copy is made with. */
export interface CopyWork {
  readonly source: CopyEnd
  readonly target: CopyEnd
  readonly tables: readonly MovedTable[]
  readonly tenantId: string
  /** In a transaction with the slot's snapshot. */
  readonly reader: pg.Client
  /** To the target, in the role of a replica. */
  readonly writer: pg.Client
  /** Part of the time that the reader uses. */
  readonly share: number
  /** Of the writer. */
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
    await copyTable(work, table, ({ rows, bytes }) => {
      rowsCopied += rows
      bytesCopied += bytes
      tell()
    })
  }
  return tell()
}

/**
 * One COPY out, many COPYs in: between two of these nothing is under way, so that a rest is one. A single COPY in would go on
 * with what the network has buffered.
 */
async function copyTable(
  { source, target, tenantId, reader, writer, share, throttle, signal }: CopyWork,
  table: MovedTable,
  onCopied: (copied: { readonly rows: number; readonly bytes: number }) => void,
): Promise<void> {
  // In binary form some types name others by number, and numbers are each database's own.
  const format = table.columns.every(({ portable }) => portable) ? 'binary' : 'text'
  const columns = columnList(table)
  const rows = `select ${columns} from ${quoteQualified(source.place.schemaName, table.name)}
     where tenant_id = ${quoteLiteral(tenantId)} and ${restingCondition(share)}`
  const into = quoteQualified(target.place.schemaName, table.name)
  await inTransaction(writer, async () => {
    // Asked for where it is read from: what ends a stream that nobody listens to yet ends the process.
    const reading = reader.query(copyTo(`copy (${rows}) to stdout (format ${format})`))
    const bytes = share < 1 ? limits.copyPieceBytes : limits.copyPieceBytesMax
    for await (const piece of piecesOf(addAbortSignal(signal, reading), format, bytes)) {
      const writing = writer.query(copyFrom(`copy ${into} (${columns}) from stdin (format ${format})`))
      await pipeline(Readable.from(framed(piece, format)), writing, { signal })
      onCopied({ rows: writing.rowCount, bytes: piece.reduce((sum, { length }) => sum + length, 0) })
      await throttle.pass()
    }
  })
}
