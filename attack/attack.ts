import type { Strategy } from '@quickscale/tenancy'
import type { OurGround } from './ground.ts'
import type { Design, SeedGround } from './seed-ground.ts'

/** One way of getting at another tenant's rows. */
export interface Attack {
  /** Short and stable; names the attack in reports. */
  readonly id: string
  readonly title: string
  /** Where it is first shown to succeed. */
  readonly naive: NaiveTarget
  /** Carries it out on ours. Each statement says which outcomes it foresees; any other one makes the attack invalid. */
  readonly run: (ground: OurGround) => Promise<void>
  /**
   * True when the defence is a right that only a superuser can take from PUBLIC, so that nothing is claimed for a
   * managed server.
   *
   * @defaultValue false
   */
  readonly hardenedOnly?: boolean
}

type NaiveTarget = NaiveSeed | NaiveClone

/** A design as it is usually found. */
export interface NaiveSeed {
  readonly design: Design
  readonly without?: never
  readonly run: (ground: SeedGround) => Promise<void>
}

/** Ours, with exactly one defence removed. */
export interface NaiveClone {
  /** A file of naive/without/. */
  readonly without: string
  readonly design?: never
  /** @defaultValue 'rls' */
  readonly strategy?: Exclude<Strategy, 'database'>
  /** What the file's {{words}} stand for. */
  readonly words?: (installation: OurGround['installation']) => Readonly<Record<string, string>>
  readonly run: (ground: OurGround) => Promise<void>
}

export type Verdict = 'blocked' | 'leaked' | 'invalid'

/** What became of one attack. */
export interface AttackResult extends Record<Strategy, Verdict> {
  readonly id: string
  readonly title: string
  readonly naive: 'succeeded' | 'failed'
}

/** Why something is not as it should be. */
export interface Finding {
  readonly attack: string
  readonly where: string
  readonly reasons: readonly string[]
}
