/**
 * A queue in which keys take turns: whoever has a thousand items in it delays everybody else by one item a turn. The key
 * whose turn is longest ago comes first; a new one joins at the end of the round.
 */
export class FairQueue<Item> {
  readonly #lines = new Map<string, Item[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** How many items of this key are in the queue. */
  lengthOf(key: string): number {
    return this.#lines.get(key)?.length ?? 0
  }

  add(key: string, item: Item): void {
    const line = this.#lines.get(key)
    if (line === undefined) this.#lines.set(key, [item])
    else line.push(item)
    this.#size += 1
  }

  /** Takes out the item whose turn it is. */
  next(): Item | undefined {
    const [turn] = this.#lines
    if (turn === undefined) return undefined
    const [key, line] = turn
    const item = line.shift()
    this.#lines.delete(key)
    if (line.length > 0) this.#lines.set(key, line)
    this.#size -= 1
    return item
  }

  /** Takes out an item before its turn, if it is there. */
  remove(key: string, item: Item): void {
    const line = this.#lines.get(key) ?? []
    const index = line.indexOf(item)
    if (index === -1) return
    line.splice(index, 1)
    if (line.length === 0) this.#lines.delete(key)
    this.#size -= 1
  }
}
