/** Keys of rows by table, each under its text. */
export type TouchedKeys = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>

/** The rows that were written since both places were last compared; only they can differ. */
export class Touched {
  #keys = new Map<string, Map<string, readonly string[]>>()
  #count = 0

  get keys(): TouchedKeys {
    return this.#keys
  }

  get count(): number {
    return this.#count
  }

  add(table: string, keys: Iterable<readonly string[]>): void {
    const known = this.#keys.get(table) ?? new Map<string, readonly string[]>()
    this.#keys.set(table, known)
    for (const key of keys) {
      const text = key.join('\0')
      if (!known.has(text)) this.#count += 1
      known.set(text, key)
    }
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
    for (const [table, known] of keys) this.add(table, known.values())
  }
}
