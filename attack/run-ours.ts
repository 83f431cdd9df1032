import type { Strategy } from '@quickscale/tenancy'
import pg from 'pg'
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../packages/tenancy/src/identifiers.ts'
import { resettingState } from '../test/support/reset-state.ts'
import type { Attack, Verdict } from './attack.ts'
import { openGround } from './ground.ts'
import type { Arena, Installation } from './installation.ts'
import { Ledger } from './ledger.ts'
import { fixtureOf, tables } from './party.ts'
import { type Foreign, findLeaks, type Snapshot, takeSnapshot } from './witness.ts'

/** An attack that has not ended by then has failed to say what it wanted. */
const attackMsMax = 15_000

/** Runs attacks on our installation under one strategy, everything as it was before each of them. */
export interface Range {
  run(attack: Attack, managed: boolean): Promise<{ verdict: Verdict; reasons: readonly string[] }>
  close(): Promise<void>
}

export async function openRange(installation: Installation, strategy: Strategy): Promise<Range> {
  const arena = installation.arenas[strategy]
  const owners = {
    attacker: new pg.Client(installation.connection(arena.databaseOf.attacker.name)),
    victim: new pg.Client(installation.connection(arena.databaseOf.victim.name)),
  }
  await Promise.all([owners.attacker.connect(), owners.victim.connect()])
  const foreign = foreignIn(installation, arena)
  return {
    run: async (attack, managed) => {
      await restoreRows(owners, arena)
      let before: Snapshot = await takeSnapshot(owners.victim, foreign)
      const ledger = new Ledger()
      const rebase = async () => {
        before = await takeSnapshot(owners.victim, foreign)
      }
      const { ground, close } = openGround({
        installation,
        strategy,
        managed,
        ledger,
        owner: owners.victim,
        rebase,
      })
      const failure = await endsInTime(attack.run(ground))
      await close()
      const after = await takeSnapshot(owners.victim, foreign)
      await restorePlace(owners, arena)
      const reasons = findLeaks(ledger, foreign, before, after)
      const aftermath = new Ledger()
      await checkBothWork(installation, arena, aftermath)
      reasons.push(...findLeaks(aftermath, foreign, [], []))
      if (reasons.length > 0) return { verdict: 'leaked', reasons }
      const problems = [...(failure === null ? [] : [failure]), ...ledger.surprises]
      if (ledger.tries === 0) problems.push('it tried nothing')
      return { verdict: problems.length > 0 ? 'invalid' : 'blocked', reasons: problems }
    },
    close: async () => void (await Promise.all([owners.attacker.end(), owners.victim.end()])),
  }
}

function foreignIn({ arenas }: Installation, { strategy, attacker, victim }: Arena): Foreign {
  const elsewhere = Object.values(arenas).filter((arena) => arena.strategy !== strategy)
  return {
    attacker,
    others: [victim, ...elsewhere.flatMap((arena) => [arena.victim, arena.attacker])],
    shared: strategy === 'database' ? [] : ['app'],
    private: strategy === 'database' ? [victim.schema] : [arenas.schema.victim.schema],
  }
}

type Owners = Readonly<Record<'attacker' | 'victim', pg.Client>>

async function restoreRows(owners: Owners, arena: Arena): Promise<void> {
  for (const who of ['attacker', 'victim'] as const) {
    const party = arena[who]
    await owners[who].query('begin')
    for (const table of tables) {
      await owners[who].query(`delete from ${quoteQualified(party.schema, table)} where tenant_id = $1`, [
        party.id,
      ])
    }
    for (const { text, values } of fixtureOf(party, true)) await owners[who].query(text, values)
    await owners[who].query('commit')
  }
}

/** The fence as it was, and no settings left on the login roles. */
async function restorePlace(owners: Owners, arena: Arena): Promise<void> {
  for (const who of ['attacker', 'victim'] as const) {
    await owners[who].query(
      resettingState(
        'quickscale.placement',
        `update quickscale.placement set state = 'active', epoch = 1, destination = null
          where tenant_id = ${quoteLiteral(arena[who].id)} and (state, epoch) <> ('active', 1)`,
      ),
    )
    const { login, name } = arena.databaseOf[who]
    const role = quoteIdentifier(login)
    await owners[who].query(
      `alter role ${role} reset all; alter role ${role} in database ${quoteIdentifier(name)} reset all`,
    )
  }
}

/** After an attack both tenants must be served as before: their own rows, nobody else's. */
async function checkBothWork(installation: Installation, arena: Arena, ledger: Ledger): Promise<void> {
  for (const who of ['victim', 'attacker'] as const) {
    const { slug, canary } = arena[who]
    try {
      const { rows } = await installation
        .tenancy()
        .tenant(slug)
        .query('select jsonb_agg(company)::text as seen from company')
      const seen = String(rows[0]?.seen)
      ledger.hear(who, seen)
      if (who === 'victim' && !seen.includes(canary))
        ledger.leak(`the victim no longer sees its rows: ${seen}`)
    } catch (error) {
      ledger.leak(
        `the ${who} cannot work any more: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
}

async function endsInTime(running: Promise<void>): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`it did not end within ${attackMsMax} ms`), attackMsMax)
  })
  const ended = running.then(
    () => null,
    (error: unknown) => (error instanceof Error ? `it threw ${error.name}: ${error.message}` : String(error)),
  )
  const failure = await Promise.race([ended, timeout])
  clearTimeout(timer)
  return failure
}
