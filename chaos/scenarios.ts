import type { MoveState } from '@quickscale/tenancy'
import type { Random } from '../packages/server/src/demo/random.ts'

/** States in which something is under way that can be interrupted. */
export const strikable = [
  'planned',
  'copying',
  'streaming',
  'switched',
  'active',
  'purging',
  'cancelling',
  'returning',
] as const satisfies readonly MoveState[]

export type Strikable = (typeof strikable)[number]

/** What strikes. */
export type Fault =
  | 'kill mover'
  | 'end connections at source'
  | 'end connections at target'
  | 'cut network to source'
  | 'cut network to target'
  | 'catalog outage'
  | 'crash source'
  | 'crash target'

/** One run: what strikes, when, and what is asked of the move after it. */
export interface Scenario {
  readonly fault: Fault
  /** The persisted state in which it strikes; 'random' is any instant. */
  readonly at: Strikable | 'random'
  /** What the operator wants in the end; a move that was switched cannot be cancelled any more. */
  readonly wish: 'moved' | 'cancel' | 'rollback'
}

const faults: readonly Fault[] = [
  'end connections at source',
  'end connections at target',
  'cut network to source',
  'cut network to target',
  'catalog outage',
  'crash source',
  'crash target',
]

/** Every state is struck by a kill; then one scenario of each other fault in turn, at states that turn too. */
export function planScenarios(random: Random, runs: number): Scenario[] {
  const scenarios: Scenario[] = []
  let turn = 0
  for (const at of strikable) scenarios.push({ fault: 'kill mover', at, wish: wishAt(random, at) })
  while (scenarios.length < runs) {
    const at = random.chance(0.2) ? 'random' : (strikable[turn % strikable.length] ?? 'random')
    const fault = turn % 3 === 0 ? 'kill mover' : (faults[random.below(faults.length)] ?? 'kill mover')
    scenarios.push({ fault, at, wish: wishAt(random, at) })
    turn += 1
  }
  return scenarios.slice(0, runs)
}

function wishAt(random: Random, at: Scenario['at']): Scenario['wish'] {
  if (at === 'cancelling') return 'cancel'
  if (at === 'returning') return 'rollback'
  if (at === 'switched' || at === 'active' || at === 'purging') return 'moved'
  return random.chance(0.7) ? 'moved' : random.pick(['cancel', 'rollback'] as const)
}
