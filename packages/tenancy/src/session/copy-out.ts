import { Readable } from 'node:stream'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Actor } from '../tenant.ts'
import { ReadingClient, type ReadingOptions } from './reading-client.ts'
import type { Router } from './route.ts'

export interface CopyOutOptions extends ReadingOptions {
  /** As in COPY. @defaultValue 'text' */
  readonly format?: 'text' | 'csv' | 'binary'
  /** Column names first; not with `binary`. @defaultValue false */
  readonly header?: boolean
  /** Milliseconds the whole may take, the reader's time included. @defaultValue 3600000 */
  readonly timeoutMs?: number
}

/**
 * COPY (query) TO STDOUT as a stream. What comes faster than it is read waits in the network, not in memory: the socket
 * is paused, and the server waits. See TenantHandle.copyTo.
 */
export class CopyOut extends Readable {
  readonly #client: ReadingClient
  readonly #text: string
  readonly #timeoutMs: number
  #started = false
  #paused = false

  constructor(router: Router, actor: Actor | null, query: string, options: CopyOutOptions = {}) {
    super({ highWaterMark: limits.copyOutBufferBytes })
    this.#text = copyText(query, options)
    this.#timeoutMs = Math.min(
      Math.max(1, Math.trunc(options.timeoutMs ?? limits.copyOutMs)),
      limits.copyOutMs,
    )
    this.#client = new ReadingClient(router, actor, options)
  }

  override _read(): void {
    if (!this.#started) {
      this.#started = true
      this.#copy().then(
        () => this.push(null),
        (error: Error) => this.destroy(error),
      )
    } else if (this.#paused) {
      this.#paused = false
      this.#client.resume()
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#client.abandon()
    callback(error)
  }

  async #copy(): Promise<void> {
    try {
      await this.#client.begin()
      // The server counts the time that the reader takes.
      await this.#client.query({ text: `set local statement_timeout = ${this.#timeoutMs}` })
      await this.#client.copyOut(this.#text, {
        timeoutMs: this.#timeoutMs,
        take: (chunk) => this.#take(chunk),
      })
    } finally {
      await this.#client.end()
    }
  }

  #take(chunk: Buffer): boolean {
    if (this.push(chunk)) return true
    this.#paused = true
    this.#client.waitForReader()
    return false
  }
}

function copyText(query: string, { format = 'text', header = false }: CopyOutOptions): string {
  if (!['text', 'csv', 'binary'].includes(format)) {
    throw new QuickScaleError('STATEMENT_REFUSED', { reason: `unknown format ${format}` })
  }
  // On lines of its own, so that a comment at its end comments nothing else out.
  return `copy (\n${query}\n) to stdout with (format ${format}${header ? ', header true' : ''})`
}
