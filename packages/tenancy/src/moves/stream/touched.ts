import { limits } from '../../limits.ts'

/** Keys of rows by table, each under its text. */
export type TouchedKeys = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>

/**
 * The rows that were written since both places were last compared; only they can differ. When there are too many to compare them
 * one by one they are not remembered, and all rows have to be compared.
 */
export class Touched {
  #keys = new Map<string, Map<string, readonly string[]>>()
  #count = 0
  readonly #tooMany = new WeakSet<TouchedKeys>()

  get keys(): TouchedKeys {
    return this.#keys
  }

  /** Infinity when they are too many. */
  get count(): number {
    return this.isTooMany(this.#keys) ? Number.POSITIVE_INFINITY : this.#count
  }

  /** Whether these are not all that were written. */
  isTooMany(keys: TouchedKeys): boolean {
    return this.#tooMany.has(keys)
  }

  add(table: string, keys: Iterable<readonly string[]>): void {
    if (this.isTooMany(this.#keys)) return
    const known = this.#keys.get(table) ?? new Map<string, readonly string[]>()
    this.#keys.set(table, known)
    for (const key of keys) {
      const text = key.join('\0')
      if (!known.has(text)) this.#count += 1
      known.set(text, key)
    }
    if (this.#count > limits.touchedKeysMax) this.#forget()
  }

  /** Takes all of them out, for a comparison that begins now. */
  take(): TouchedKeys {
    const taken = this.#keys
    this.#keys = new Map()
    this.#count = 0
    return taken
  }

  /** The comparison for which they were taken out did not come about. */
  putBack(keys: TouchedKeys): void {
    if (this.isTooMany(keys)) this.#forget()
    else for (const [table, known] of keys) this.add(table, known.values())
  }

  #forget(): void {
    this.#keys = new Map()
    this.#tooMany.add(this.#keys)
  }
}
