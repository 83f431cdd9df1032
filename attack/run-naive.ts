import pg from 'pg'
import { quoteIdentifier } from '../packages/tenancy/src/identifiers.ts'
import type { Attack, NaiveClone, NaiveSeed } from './attack.ts'
import { openGround } from './ground.ts'
import { asOwner, clone, type Installation } from './installation.ts'
import { Ledger } from './ledger.ts'
import { openSeed, readNaive, type SeedRoles } from './seed-ground.ts'
import { type Foreign, findLeaks, type Snapshot, takeSnapshot } from './witness.ts'

/** What an attack came to on its naive target. */
export interface NaiveOutcome {
  /** Foreign rows that were read, written or confirmed: the attack succeeded. */
  readonly leaks: readonly string[]
  readonly problem: string | null
}

/** Carries an attack out on its naive target: a design built afresh, or a clone of ours that lacks one defence. */
export async function runOnNaive(
  attack: Attack,
  installation: Installation,
  roles: SeedRoles,
): Promise<NaiveOutcome> {
  const { naive } = attack
  if (naive.design !== undefined) return await runOnSeed(naive, installation, roles)
  const database = `${installation.name}_clone`
  try {
    return await runOnClone(naive, { installation, database })
  } finally {
    await asOwner(installation.connection('postgres'), (owner) =>
      owner.query(`drop database if exists ${quoteIdentifier(database)} with (force)`),
    )
  }
}

async function runOnSeed(
  naive: NaiveSeed,
  installation: Installation,
  roles: SeedRoles,
): Promise<NaiveOutcome> {
  let before: Snapshot = []
  const rebase = async () => {
    before = await takeSnapshot(target.ground.owner, target.foreign)
  }
  const target = await openSeed(installation, roles, { design: naive.design, rebase })
  try {
    await rebase()
    const problem = await failureOf(naive.run(target.ground))
    await target.settle()
    const after = await takeSnapshot(target.ground.owner, target.foreign)
    const { surprises } = target.ground.ledger
    return {
      leaks: findLeaks(target.ground.ledger, target.foreign, before, after),
      problem: problem ?? (surprises.length > 0 ? surprises.join('; ') : null),
    }
  } finally {
    await target.close()
  }
}

async function runOnClone(
  naive: NaiveClone,
  { installation, database }: { installation: Installation; database: string },
): Promise<NaiveOutcome> {
  const strategy = naive.strategy ?? 'rls'
  const { attacker, victim } = installation.arenas[strategy]
  const origin = installation.pristine[strategy]
  await clone(installation.connection, { from: origin.name, to: database })
  const owner = new pg.Client(installation.connection(database))
  await owner.connect()
  await owner.query(
    `grant connect on database ${quoteIdentifier(database)} to ${quoteIdentifier(origin.login)}`,
  )
  await owner.query(await readNaive(`without/${naive.without}`, naive.words?.(installation)))
  const foreign: Foreign = {
    attacker,
    others: [victim],
    shared: strategy === 'rls' ? ['app'] : [],
    private: strategy === 'schema' ? [victim.schema] : [],
  }
  let before: Snapshot = []
  const rebase = async () => {
    before = await takeSnapshot(owner, foreign)
  }
  const ledger = new Ledger()
  const { ground, close } = openGround({
    installation,
    strategy,
    managed: false,
    ledger,
    owner,
    rebase,
    clone: { ...origin, name: database },
  })
  try {
    await rebase()
    // What ours refuses at other steps is no surprise here: only the leak counts.
    const problem = await failureOf(naive.run(ground))
    await close()
    return { leaks: findLeaks(ledger, foreign, before, await takeSnapshot(owner, foreign)), problem }
  } finally {
    await close()
    await owner.end()
  }
}

async function failureOf(running: Promise<void>): Promise<string | null> {
  return await running.then(
    () => null,
    (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)),
  )
}
