import { createReadStream } from 'node:fs'
import { limits } from '../limits.ts'
import { unusable } from './unusable.ts'

const NEWLINE = 0x0a
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** Reads a file line by line, as bytes, holding one chunk and the line in the making. */
export class LineReader {
  /** Number of the line that was returned last, from 1. */
  line = 0
  /** Bytes of the file read so far. */
  bytes = 0
  readonly #chunks: AsyncIterator<Buffer>
  #chunk: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(path: string) {
    this.#chunks = createReadStream(path, { highWaterMark: limits.readChunkBytes })[Symbol.asyncIterator]()
  }

  /** The next line without its newline, or null at the end of the file. */
  async next(): Promise<Buffer | null> {
    const pieces: Buffer[] = []
    let length = 0
    for (;;) {
      const end = this.#chunk.indexOf(NEWLINE, this.#at)
      if (end >= 0) {
        pieces.push(this.#chunk.subarray(this.#at, end))
        this.#at = end + 1
        return this.#finish(pieces)
      }
      const rest = this.#chunk.subarray(this.#at)
      if (rest.length > 0) pieces.push(rest)
      length += rest.length
      if (length > limits.statementBytesMax) {
        throw unusable(this.line + 1, `a line of more than ${limits.statementBytesMax} bytes`)
      }
      const chunk = await this.#chunks.next()
      this.#chunk = chunk.done === true ? Buffer.alloc(0) : chunk.value
      this.#at = 0
      this.bytes += this.#chunk.length
      if (chunk.done === true) return pieces.length > 0 ? this.#finish(pieces) : null
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  #finish(pieces: readonly Buffer[]): Buffer {
    const line = pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces)
    this.line += 1
    return this.line === 1 && line.subarray(0, 3).equals(BYTE_ORDER_MARK) ? line.subarray(3) : line
  }
}
