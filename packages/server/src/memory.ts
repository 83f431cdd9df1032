import { LRUCache } from 'lru-cache'
import { limits } from './limits.ts'

interface Reading<Value> {
  readonly found: Promise<Value | null>
  readonly sinceMs: number
}

/**
 * Remembers for a while what was read. Those who ask for the same at the same time wait for one answer; whoever asks after something
 * was forgotten gets none from before. An answer that does not come is not waited for by those who ask later.
 */
export class Memory<Value extends object> {
  readonly #known: LRUCache<string, Value>
  readonly #reading = new Map<string, Reading<Value>>()

  /** @param ttl how long, in milliseconds */
  constructor(bounds: { readonly max: number; readonly ttl: number }) {
    this.#known = new LRUCache(bounds)
  }

  /** @param read null is not remembered */
  find(key: string, read: () => Promise<Value | null>): Promise<Value | null> {
    const known = this.#known.get(key)
    if (known !== undefined) return Promise.resolve(known)
    const joined = this.#reading.get(key)
    if (joined !== undefined && performance.now() - joined.sinceMs < limits.readingJoinedMs)
      return joined.found
    const isCurrent = () => this.#reading.get(key)?.found === found
    const found = read()
      .then((value) => {
        if (value !== null && isCurrent()) this.#known.set(key, value)
        return value
      })
      .finally(() => {
        if (isCurrent()) this.#reading.delete(key)
      })
    this.#reading.set(key, { found, sinceMs: performance.now() })
    return found
  }

  forget(key: string): void {
    this.#known.delete(key)
    this.#reading.delete(key)
  }

  clear(): void {
    this.#known.clear()
    this.#reading.clear()
  }
}
