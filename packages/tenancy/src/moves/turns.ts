/** Runs work when it is its turn. */
export interface Turns {
  <T>(work: () => Promise<T>): Promise<T>
  /** Runs it at once, or not at all. @returns null then */
  ifFree<T>(work: () => Promise<T>): Promise<T> | null
}

/** Lets so many pieces of work run at the same time; the others wait. */
export function createTurns(count: number): Turns {
  let free = count
  const waiting: (() => void)[] = []
  const run = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }
  const whenFree = async <T>(work: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => waiting.push(resolve))
    return await run(work)
  }
  const ifFree = <T>(work: () => Promise<T>): Promise<T> | null => {
    if (free === 0) return null
    free -= 1
    return run(work)
  }
  return Object.assign(whenFree, { ifFree })
}
