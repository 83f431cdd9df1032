import { setTimeout as sleep } from 'node:timers/promises'
import type { Destination } from '@quickscale/tenancy'
import { MoverProcess } from '../test/support/mover-process.ts'
import { Attempt } from './attempt.ts'
import { checkRun, type Finding, type Homes } from './check.ts'
import { readHome } from './place.ts'
import type { Scenario } from './scenarios.ts'
import { settle } from './settle.ts'
import { type Home, type Site, type Subject, serverNames, strategies } from './site.ts'
import { withWatch } from './state.ts'
import { isFeltByClients, strike } from './strike.ts'
import { Writer } from './writer.ts'

/** How one run went. */
export interface Outcome {
  readonly scenario: Scenario
  readonly from: Home
  readonly to: Home
  /** What was written down when the fault struck. */
  readonly struckAt: string
  readonly end: 'moved' | 'back' | 'broken'
  readonly findings: readonly Finding[]
  /** What those who went on with the move met on their way. */
  readonly failures: readonly string[]
}

const finishMs = 60_000
const windowMs = 600_000
const writerPauseMs = 12
const writers = 3

/** Moves the tenant while its clients write, has a fault strike, lets others finish the move, and looks what became of it. */
export async function runOnce(site: Site, subject: Subject, scenario: Scenario): Promise<Outcome> {
  const from = await readHome(site, subject)
  const to = chooseHome(site, from)
  const destination: Destination = {
    to: to.strategy,
    server: to.server,
    rollbackWindowMs: scenario.wish === 'rollback' || scenario.at === 'active' ? windowMs : 0,
  }
  const after = await now(site)
  const mover = new MoverProcess({ config: site.moverConfig, key: subject.key, destination })
  await mover.untilReady()
  const clients = startWriters(site, subject)
  let struckAt = 'nothing'
  try {
    const target = { source: from.server, target: to.server }
    struckAt = await withWatch(site, subject.id, from, async (watch) => {
      const attempt = new Attempt(site, scenario, { watch, mover, after, from })
      return await attempt.run(() => strike(site, scenario.fault, mover, target))
    })
    if (mover.alive) await endMover(mover)
    const { move, failures } = await settle(site, subject, scenario, after)
    for (const client of clients) await client.stop()
    const homes: Homes = { from, to }
    const findings = await checkRun(site, subject, homes, move, clients, isFeltByClients(scenario.fault))
    if (struckAt === 'nothing') findings.push({ kind: 'error', what: 'the fault struck nothing' })
    const end = endOf(move?.state, { struckAt, scenario, findings })
    return { scenario, from, to, struckAt, end, findings, failures: [...mover.answers, ...failures] }
  } finally {
    if (mover.alive) await mover.kill()
    for (const client of clients) await client.stop()
  }
}

function endOf(
  state: string | undefined,
  { struckAt, scenario, findings }: Pick<Outcome, 'struckAt' | 'scenario' | 'findings'>,
): Outcome['end'] {
  if (findings.some(({ kind }) => kind === 'broken')) return 'broken'
  const back = state === undefined || state === 'cancelled' || state === 'returned'
  if (!back && state !== 'done') return 'broken'
  // The switch is the point of no return, but for whoever wants the way back.
  if (back && scenario.wish !== 'rollback' && ['switched', 'active', 'purging'].includes(struckAt))
    return 'broken'
  return back ? 'back' : 'moved'
}

function chooseHome({ random }: Site, from: Home): Home {
  const homes = strategies.flatMap((strategy) => serverNames.map((server) => ({ strategy, server })))
  return random.pick(homes.filter((home) => home.strategy !== from.strategy || home.server !== from.server))
}

function startWriters(site: Site, subject: Subject): Writer[] {
  const { tenancy, random } = site
  const own = Array.from({ length: writers }, (_, index) => {
    const pauseMs = writerPauseMs
    return new Writer({ tenancy, ledger: subject.ledger, random, pauseMs }, subject.key, index)
  })
  const others = site.neighbours.map(({ key, ledger }) => {
    return new Writer({ tenancy, ledger, random, pauseMs: 8 * writerPauseMs }, key, 0)
  })
  return [...own, ...others]
}

/** Of the catalog's clock, by which moves are dated. */
async function now(site: Site): Promise<Date> {
  const { rows } = await site.inCatalog((client) => client.query<{ now: Date }>('select now() as now'))
  return rows[0]?.now ?? new Date()
}

/** A mover that was not killed may finish what it can. */
async function endMover(mover: MoverProcess): Promise<void> {
  const ended = await Promise.race([mover.finish().then(() => true), sleep(finishMs, false, { ref: false })])
  if (!ended) await mover.kill()
}
