import type { Readable } from 'node:stream'

/** Whole rows as COPY sends them, without what comes before the first and after the last one. */
export type CopyFormat = 'binary' | 'text'

// https://www.postgresql.org/docs/current/sql-copy.html, Binary Format: a header, then for each row the number of its fields and,
// for each field, its length (-1 for null) and its bytes; -1 in place of a number of fields ends it.
const header = Buffer.from('5047434f50590aff0d0a00' + '00000000' + '00000000', 'hex')
const trailer = Buffer.from('ffff', 'hex')

/** What the target is sent for one piece: a COPY of its own. */
export function framed(rows: readonly Buffer[], format: CopyFormat): readonly Buffer[] {
  return format === 'binary' ? [header, ...rows, trailer] : rows
}

/**
 * Cuts what `COPY … TO STDOUT` sends into pieces that end with a row.
 *
 * @param bytes of a piece; it has more, by a quarter at most, unless a single row has
 */
export async function* piecesOf(
  reading: Readable,
  format: CopyFormat,
  bytes: number,
): AsyncGenerator<readonly Buffer[]> {
  const findEnd = format === 'binary' ? createRowWalk() : endOfLine
  let [piece, held]: [Buffer[], number] = [[], 0]
  let toSkip = format === 'binary' ? header.length : 0
  for await (const received of reading as AsyncIterable<Buffer>) {
    // What has come in meanwhile comes at once.
    for (const part of partsOf(received, Math.ceil(bytes / 4))) {
      const chunk = part.subarray(toSkip)
      toSkip -= part.length - chunk.length
      const end = findEnd(chunk)
      if (end === 0 || held + end < bytes) {
        piece.push(chunk)
        held += chunk.length
        continue
      }
      yield [...piece, chunk.subarray(0, end)]
      const rest = chunk.subarray(end)
      ;[piece, held] = [[rest], rest.length]
    }
  }
  const left = Buffer.concat(piece)
  const rows = format === 'binary' ? left.subarray(0, left.length - trailer.length) : left
  if (rows.length > 0) yield [rows]
}

function* partsOf(chunk: Buffer, bytes: number): Generator<Buffer> {
  for (let at = 0; at < chunk.length; at += bytes) yield chunk.subarray(at, at + bytes)
}

/** @returns where the last line of the chunk ends; 0 when none does. Within values a newline is written as `\n`. */
function endOfLine(chunk: Buffer): number {
  return chunk.lastIndexOf(0x0a) + 1
}

/** Follows the rows of a binary COPY through its chunks, wherever these are cut. */
function createRowWalk(): (chunk: Buffer) => number {
  let [fields, toSkip, read, value] = [0, 0, 0, 0]
  return (chunk) => {
    let end = 0
    for (let at = 0; at < chunk.length; ) {
      if (toSkip > 0) {
        const step = Math.min(toSkip, chunk.length - at)
        toSkip -= step
        at += step
      } else {
        value = (value << 8) | (chunk[at] ?? 0)
        read += 1
        at += 1
        if (read < (fields === 0 ? 2 : 4)) continue
        if (fields === 0) fields = value === 0xffff ? Number.POSITIVE_INFINITY : value
        else {
          fields -= 1
          toSkip = Math.max(value, 0)
        }
        ;[read, value] = [0, 0]
      }
      if (toSkip === 0 && read === 0 && fields === 0) end = at
    }
    return end
  }
}
