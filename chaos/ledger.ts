/** What a row may be: one text when its last write was acknowledged, several when nobody knows; null for no row. */
type Allowed = readonly (string | null)[]

/** What an application knows of the rows it wrote: independent of what any database says. */
export class Ledger {
  readonly #rows = new Map<number, Allowed>()
  acknowledged = 0

  /** A write that is under way; whoever breaks off leaves a row of which nobody knows. */
  begin(id: number, value: string | null): { acknowledge(): void } {
    const before = this.#rows.get(id) ?? [null]
    this.#rows.set(id, [...before, value])
    return {
      acknowledge: () => {
        this.acknowledged += 1
        this.#rows.set(id, [value])
      },
    }
  }

  /** Whether a row is known not to exist. */
  isFree(id: number): boolean {
    return (this.#rows.get(id) ?? [null]).every((value) => value === null)
  }

  /** Rows that are known to exist. */
  known(from: number, to: number): number[] {
    return [...this.#rows]
      .filter(([id, allowed]) => id >= from && id < to && allowed.length === 1 && allowed[0] !== null)
      .map(([id]) => id)
  }

  /** In what rows differ from what they must be. */
  compare(rows: readonly { id: number; value: string }[]): {
    lost: string[]
    doubled: string[]
    foreign: string[]
  } {
    const found = new Map<number, string[]>()
    for (const { id, value } of rows) found.set(id, [...(found.get(id) ?? []), value])
    const result = { lost: [] as string[], doubled: [] as string[], foreign: [] as string[] }
    for (const [id, allowed] of this.#rows) {
      const values = found.get(id) ?? []
      found.delete(id)
      if (values.length > 1) result.doubled.push(`row ${id} is there ${values.length} times`)
      const value = values[0] ?? null
      if (allowed.includes(value)) continue
      if (allowed.every((each) => each === null))
        result.doubled.push(`row ${id} was deleted: ${value?.slice(0, 40)}`)
      else
        result.lost.push(
          `row ${id} is ${value?.slice(0, 40)}, not ${allowed.map((each) => each?.slice(0, 40)).join(' or ')}`,
        )
    }
    for (const [id, values] of found)
      result.foreign.push(`row ${id} was never written: ${values[0]?.slice(0, 40)}`)
    return result
  }
}
