/** One run of the model: which faults it allows, and what it must show. */
export interface Run {
  readonly name: string
  /** `-D` flags of move.pml. */
  readonly defines: readonly string[]
  /** An `ltl` formula, checked under weak fairness; without one, the assertions and deadlocks. */
  readonly formula?: string
  /** For a mutant: the property that it must break. */
  readonly breaks?: string
}

function bound(counts: { writes?: number; crashes?: number; zombies?: number; restarts?: number }) {
  const { writes = 4, crashes = 0, zombies = 0, restarts = 0 } = counts
  return [`WRITES=${writes}`, `CRASHES=${crashes}`, `ZOMBIES=${zombies}`, `RESTARTS=${restarts}`]
}

const zombie = bound({ zombies: 1 })
const clients = ['ROUTES', ...bound({ crashes: 1 })]

export const runs: readonly Run[] = [
  { name: 'two crashes, begun anew', defines: bound({ crashes: 2, restarts: 1 }) },
  { name: 'a takeover, begun anew', defines: bound({ zombies: 1, restarts: 1 }) },
  { name: 'a takeover and a crash', defines: bound({ writes: 3, zombies: 1, crashes: 1 }) },
  { name: 'one database', defines: ['SAME_DATABASE', ...zombie] },
  { name: 'after the switch only forward', defines: clients, formula: 'forward' },
  { name: 'every write and every move ends', defines: clients, formula: 'ends' },
]

function mutant(flag: string, breaks: string, defines: readonly string[] = zombie): Run {
  return { name: flag, defines: [`MUTANT_${flag}`, ...defines], breaks }
}

export const mutants: readonly Run[] = [
  mutant('NO_LOCK', 'none lost'),
  mutant('NO_EPOCH', 'no old token'),
  mutant('ACTIVATE_FIRST', 'one place'),
  mutant('NO_BARRIER', 'none lost'),
  mutant('POSITION_APART', 'none doubled', bound({ crashes: 1 })),
  mutant('NO_SOURCE_LEASE', 'none lost'),
  mutant('NO_TARGET_LEASE', 'cancelled leaves nothing'),
  mutant('UNGUARDED_ACTIVATION', 'one place'),
  mutant('UNGUARDED_CATALOG', 'finished is finished'),
  mutant('UNANNOUNCED_OPENING', 'one place'),
]
