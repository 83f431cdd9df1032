import { LRUCache } from 'lru-cache'

/**
 * Remembers for a while what was read. Those who ask for the same at the same time wait for one answer; whoever asks after something
 * was forgotten gets none from before.
 */
export class Memory<Value extends object> {
  readonly #known: LRUCache<string, Value>
  readonly #reading = new Map<string, Promise<Value | null>>()

  /** @param ttl how long, in milliseconds */
  constructor(bounds: { readonly max: number; readonly ttl: number }) {
    this.#known = new LRUCache(bounds)
  }

  /** @param read null is not remembered */
  find(key: string, read: () => Promise<Value | null>): Promise<Value | null> {
    const known = this.#known.get(key)
    if (known !== undefined) return Promise.resolve(known)
    const joined = this.#reading.get(key)
    if (joined !== undefined) return joined
    const isCurrent = () => this.#reading.get(key) === reading
    const reading = read()
      .then((found) => {
        if (found !== null && isCurrent()) this.#known.set(key, found)
        return found
      })
      .finally(() => {
        if (isCurrent()) this.#reading.delete(key)
      })
    this.#reading.set(key, reading)
    return reading
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
