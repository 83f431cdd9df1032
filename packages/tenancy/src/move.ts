import type { Strategy } from './tenant.ts'

/**
 * How far a move is.
 *
 *   planned ─→ copying ─→ streaming ─→ switched ─→ active ─→ purging ─→ done
 *      └──────────┴───────────┴─→ cancelling ─→ cancelled    └─→ returning ─→ returned
 *
 * Up to `streaming` the source is the tenant's only place, and what the target has can be thrown away. With `switched` the
 * tenant lives in the target, and the move only goes forward. While it is `active` the way back is open.
 */
export type MoveState =
  | 'planned'
  | 'copying'
  | 'streaming'
  | 'switched'
  | 'active'
  | 'returning'
  | 'purging'
  | 'cancelling'
  | 'done'
  | 'returned'
  | 'cancelled'

/** What somebody has asked the process that moves the tenant for. */
export type MoveRequest = 'cancel' | 'rollback' | 'finish'

/** A place as the record of a move names it. */
export interface MovePlace {
  readonly strategy: Strategy
  readonly server: string
  readonly database: string
  readonly schema: string
}

/** What has been done of a move. */
export interface MoveProgress {
  /** Rows and bytes of the copy, so far. */
  readonly rowsCopied?: number
  readonly bytesCopied?: number
  /** Rows per second of the copy. */
  readonly rowsPerSecond?: number
  /** Estimated when the copy begins. */
  readonly rowsExpected?: number
  /** Changes that were applied behind the copy. */
  readonly changesApplied?: number
  /** How far the target is behind: how long a marker takes from the source's log to it, and before that how old its last commit is. */
  readonly lagMs?: number
  /** How long it will take to catch up with what was written during the copy, as far as can be told; 0 once that is done. */
  readonly catchUpMsLeft?: number
  /** Cutovers that had to be given up, for example behind a transaction that did not end. */
  readonly cutoversFailed?: number
  /** How long the tenant's lock was held when it was switched. */
  readonly lockedMs?: number
  /** Once the tenant had been switched all rows were compared again, both places as they were at the switch. */
  readonly audited?: MoveAudit
  /** What was taken away of the place that is not the tenant's any more, after which nothing was found there. */
  readonly removed?: string
}

/** What a comparison of all rows has found. */
export interface MoveAudit {
  readonly tables: number
  /** In what the two places differed, in words; empty when they were the same. */
  readonly differences: readonly string[]
}

/** A tenant's way from one place to another. */
export interface Move {
  readonly id: string
  readonly tenantId: string
  readonly state: MoveState
  readonly source: MovePlace
  readonly target: MovePlace
  /** The plan the tenant gets when it has arrived; null when it keeps its own. */
  readonly plan: string | null
  readonly request: MoveRequest | null
  readonly progress: MoveProgress
  /** Why it does not go on, when it does not. */
  readonly failure: string | null
  /** Since when nobody takes it up unasked, because whoever moved the tenant was told to stop; null when that is not so. */
  readonly stoppedAt: Date | null
  /** How often it was taken up unasked, since somebody asked for it or the tenant was switched. */
  readonly attempts: number
  /** How often it will be at most; one that is switched is taken up until the tenant has arrived. */
  readonly attemptsLeft: number
  /** Before that it is not taken up again unasked; null when nothing delays it. */
  readonly retryAt: Date | null
  readonly createdAt: Date
  readonly switchedAt: Date | null
  /** Until when the way back is open; null before the switch, and when there is none. */
  readonly rollbackUntil: Date | null
  readonly finishedAt: Date | null
}

/** The place that a tenant leaves, and the one it comes to. */
export type EndRole = 'source' | 'target'

const finalStates: ReadonlySet<MoveState> = new Set(['done', 'returned', 'cancelled'])

const statesOnTheWay: ReadonlySet<MoveState> = new Set(['planned', 'copying', 'streaming', 'switched'])

/** It has yet to arrive. */
export function isOnTheWay({ state }: Pick<Move, 'state'>): boolean {
  return statesOnTheWay.has(state)
}

export function isFinished({ state }: Pick<Move, 'state'>): boolean {
  return finalStates.has(state)
}

const beforeSwitch: ReadonlySet<MoveState> = new Set(['planned', 'copying', 'streaming'])

/** Whether the tenant still lives at the source, and nothing else has been decided. */
export function isBeforeSwitch({ state }: Pick<Move, 'state'>): boolean {
  return beforeSwitch.has(state)
}

/** Names of what a move makes in a database: its publication and its slot. */
export function streamNames(moveId: string, from: EndRole): { publication: string; slot: string } {
  const name = `quickscale_${moveId.replaceAll('-', '')}_${from === 'source' ? 'there' : 'back'}`
  return { publication: name, slot: name }
}
