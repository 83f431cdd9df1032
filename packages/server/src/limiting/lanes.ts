import { ProblemError } from '../http/problem-error.ts'
import { limits } from '../limits.ts'
import type { PlanLimits } from './options.ts'

// A tenant may use up at once what a whole window allows it. Its neighbours notice the more of that, the more of it is begun at the
// same time: so while others are there, its requests begin one after the other with a moment in between, in which theirs get in, and
// what is beyond a first handful begins evenly. That moment is a timer's: in the turn of the event loop in which a burst arrives
// time passes too, but nobody gets in.

type LanePlan = Pick<PlanLimits, 'concurrent' | 'waiting' | 'requestsPerSecond'>

interface Lane {
  running: number
  readonly waiting: (() => void)[]
  /** How many may begin though others are there, as of `countedAtMs`. */
  beginnings: number
  countedAtMs: number
  /** When the last one began, or was to. */
  begunAtMs: number
  enteredAtMs: number
  /** Set while somebody waits for time to pass. */
  timer: NodeJS.Timeout | null
}

/**
 * Lets a tenant have so many requests worked on at the same time in this process; the next ones wait their turn, and when too
 * many wait further ones are refused. While other tenants are there, those of one begin evenly.
 */
export class Lanes {
  /** Whose last request is longest ago first. */
  readonly #lanes = new Map<string, Lane>()

  /** @throws ProblemError `TENANT_BUSY` */
  async run<T>(tenantId: string, plan: LanePlan, work: () => Promise<T>): Promise<T> {
    const lane = this.#enter(tenantId)
    if (lane.waiting.length === 0 && this.#waitMs(lane, plan) === 0) begin(lane, plan)
    // Who waits only for the time to begin takes up no place of those who wait for others to end.
    else if (lane.running + lane.waiting.length < plan.concurrent + plan.waiting) {
      await new Promise<void>((enter) => {
        lane.waiting.push(enter)
        this.#serve(lane, plan)
      })
    } else
      throw new ProblemError(429, 'TENANT_BUSY', 'The organization has too many requests open; try again')
    try {
      return await work()
    } finally {
      lane.running -= 1
      this.#serve(lane, plan)
    }
  }

  /** Those who wait begin in their order; when it takes time until the next one may, it is waited for. */
  #serve(lane: Lane, plan: LanePlan): void {
    while (lane.timer === null && lane.waiting.length > 0) {
      const waitMs = this.#waitMs(lane, plan)
      if (waitMs > 0) {
        if (waitMs < Number.POSITIVE_INFINITY) this.#wake(lane, plan, waitMs)
        return
      }
      begin(lane, plan)
      lane.waiting.shift()?.()
    }
  }

  #wake(lane: Lane, plan: LanePlan, waitMs: number): void {
    lane.timer = setTimeout(() => {
      lane.timer = null
      this.#serve(lane, plan)
    }, waitMs)
  }

  /** How long until the next one may begin: infinite until another one ends. */
  #waitMs(lane: Lane, plan: LanePlan): number {
    if (lane.running >= plan.concurrent) return Number.POSITIVE_INFINITY
    const nowMs = performance.now()
    const earned = (nowMs - lane.countedAtMs) * paceMs(plan)
    lane.beginnings = Math.min(limits.laneBeginningsAtOnce, lane.beginnings + earned)
    lane.countedAtMs = nowMs
    const isPaced = this.#lanes.size > 1 && plan.waiting > 0
    if (!isPaced) return 0
    const untilEarnedMs = (1 - lane.beginnings) / paceMs(plan)
    const untilGapMs = lane.begunAtMs + gapMs(plan) - nowMs
    return Math.max(0, Math.ceil(untilEarnedMs), Math.ceil(untilGapMs))
  }

  #enter(tenantId: string): Lane {
    const nowMs = performance.now()
    const lane = this.#lanes.get(tenantId) ?? openLane(nowMs)
    this.#lanes.delete(tenantId)
    this.#lanes.set(tenantId, lane)
    lane.enteredAtMs = nowMs
    this.#leaveOut(nowMs)
    return lane
  }

  /** Who has asked nothing for a while is not there any more, unless that is still being answered. */
  #leaveOut(nowMs: number): void {
    for (const [tenantId, lane] of this.#lanes) {
      if (nowMs - lane.enteredAtMs < limits.laneKeptMs) return
      this.#lanes.delete(tenantId)
      if (lane.running === 0 && lane.waiting.length === 0) continue
      lane.enteredAtMs = nowMs
      this.#lanes.set(tenantId, lane)
    }
  }
}

function begin(lane: Lane, plan: LanePlan): void {
  lane.running += 1
  lane.beginnings = Math.max(0, lane.beginnings - 1)
  // Timers are late, which the next ones make up for; a while in which nobody asked is not made up for.
  const nowMs = lane.countedAtMs
  const dueMs = Math.max(lane.begunAtMs + gapMs(plan), nowMs - limits.laneLatenessMs)
  lane.begunAtMs = Math.min(dueMs, nowMs)
}

/** Between two beginnings: never more than its plan has. */
function gapMs(plan: LanePlan): number {
  return Math.min(limits.laneGapMs, 1 / paceMs(plan))
}

/** How many beginnings a tenant earns in a millisecond. */
function paceMs({ requestsPerSecond }: LanePlan): number {
  return Math.max(requestsPerSecond, limits.laneBeginningsPerSecondMin) / 1_000
}

function openLane(nowMs: number): Lane {
  const beginnings = limits.laneBeginningsAtOnce
  return {
    running: 0,
    waiting: [],
    beginnings,
    countedAtMs: nowMs,
    begunAtMs: Number.NEGATIVE_INFINITY,
    enteredAtMs: nowMs,
    timer: null,
  }
}
