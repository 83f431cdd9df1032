import type { Strategy } from '@quickscale/tenancy'
import type { LayoutRefusal } from '@quickscale/tenancy/layout'

/** What cannot be made tenant-safe, why, and what to do about it. */
export type Refusal = LayoutRefusal

/** Something that is not in a place as it was in the original. */
export interface Difference {
  /** rows, column, constraint, probe, orphan, view, sequence, index, plan, table, layout. */
  readonly kind: string
  readonly object: string
  /** Which of the two tenants; absent when it concerns the place as a whole. */
  readonly tenant?: string
  readonly expected: string
  readonly found: string
}

/** An index that the planner uses for fewer operators than in the original. */
export interface AffectedIndexReport {
  readonly index: string
  readonly table: string
  readonly strategy: Strategy
  readonly operators: readonly string[]
  readonly reason: string
  readonly remedies: readonly string[]
}

export interface StrategyReport {
  /** Tables that both tenants have. */
  readonly tables: number
  /** Rows of both tenants together. */
  readonly rows: number
  readonly differences: readonly Difference[]
  /** What was compared, so that "no difference" can be weighed. */
  readonly compared: {
    readonly views: number
    readonly constraints: number
    readonly probes: number
    readonly indexes: number
    readonly sequences: number
  }
}

/** The result of `quickscale check`; what `--json` prints. */
export interface CheckReport {
  /** Nothing differs and no table, column or large object was lost. */
  readonly ok: boolean
  readonly original: {
    readonly tables: number
    readonly rows: number
    readonly views: number
    readonly schemas: readonly string[]
  }
  readonly strategies: Readonly<Record<Strategy, StrategyReport>>
  readonly affectedIndexes: readonly AffectedIndexReport[]
  readonly refused: readonly Refusal[]
  /** Objects whose name another schema uses as well. */
  readonly renamed: readonly { readonly kind: string; readonly from: string; readonly to: string }[]
  /** Functions that were adapted to a place. */
  readonly altered: readonly { readonly object: string; readonly change: string }[]
  /** How often each kind of statement was passed over. */
  readonly ignored: Readonly<Record<string, number>>
}
