import { ProblemError } from '../http/problem-error.ts'
import type { PlanLimits } from './options.ts'

interface Lane {
  running: number
  readonly waiting: (() => void)[]
}

/**
 * Lets a tenant have so many requests worked on at the same time in this process; the next ones wait their turn, and when too
 * many wait further ones are refused. What the others do does not depend on it.
 */
export class Lanes {
  readonly #lanes = new Map<string, Lane>()

  /** @throws ProblemError `TENANT_BUSY` */
  async run<T>(
    tenantId: string,
    { concurrent, waiting }: Pick<PlanLimits, 'concurrent' | 'waiting'>,
    work: () => Promise<T>,
  ): Promise<T> {
    const lane = this.#laneOf(tenantId)
    if (lane.running < concurrent) lane.running += 1
    else if (lane.waiting.length < waiting) await new Promise<void>((enter) => lane.waiting.push(enter))
    else throw new ProblemError(429, 'TENANT_BUSY', 'The organization has too many requests open; try again')
    try {
      return await work()
    } finally {
      // Whoever waits takes the place over, so that nobody else can come in between.
      const next = lane.waiting.shift()
      if (next !== undefined) next()
      else lane.running -= 1
      if (lane.running === 0) this.#lanes.delete(tenantId)
    }
  }

  #laneOf(tenantId: string): Lane {
    const known = this.#lanes.get(tenantId)
    if (known !== undefined) return known
    const made: Lane = { running: 0, waiting: [] }
    this.#lanes.set(tenantId, made)
    return made
  }
}
