import { createRandom } from '../packages/server/src/demo/random.ts'
import type { Finding } from './check.ts'
import { type Outcome, runOnce } from './run.ts'
import { planScenarios } from './scenarios.ts'
import { openSite, type Subject } from './site.ts'

/** What all runs together have shown. */
export interface Report {
  readonly seed: string
  readonly runs: number
  /** Runs that ended with the tenant at its new place, at its old one, and otherwise. */
  readonly moved: number
  readonly back: number
  readonly broken: number
  /** Things that were left where the tenant does not live, or of moves that are over. */
  readonly leftovers: number
  /** Acknowledged writes that are not there; rows that are there though they should not be; rows of other tenants that were touched. */
  readonly lost: number
  readonly doubled: number
  readonly foreign: number
  /** Errors that clients saw while nothing was wrong but the mover. */
  readonly errors: number
  readonly acknowledged: number
  /** How often which state was written down when a fault struck. */
  readonly byState: Readonly<Record<string, number>>
  readonly byFault: Readonly<Record<string, number>>
}

export async function runMoveChaos(options: {
  seed: string
  runs: number
  signal: AbortSignal
  onProgress(what: string): void
  onFinding(what: string): void
}): Promise<Report> {
  const { seed, runs, signal, onProgress, onFinding } = options
  const random = createRandom(seed)
  const scenarios = planScenarios(random, runs)
  const site = await openSite(random, onProgress)
  const outcomes: Outcome[] = []
  const findings: Finding[] = []
  const known = new Set<string>()
  let acknowledged = 0
  try {
    let subject: Subject | null = null
    for (const [index, scenario] of scenarios.entries()) {
      signal.throwIfAborted()
      subject ??= await site.createSubject(`tenant-${index}`, { strategy: 'rls', server: 'primary' })
      onProgress(`${index + 1} of ${runs}: ${scenario.fault} at ${scenario.at}, to be ${scenario.wish}`)
      const before = subject.ledger.acknowledged
      const outcome = await runOnce(site, subject, scenario)
      acknowledged += subject.ledger.acknowledged - before
      outcomes.push(outcome)
      onProgress(describe(index, outcome))
      const fresh = outcome.findings.filter(({ kind, what }) => kind !== 'leftover' || !known.has(what))
      for (const { what } of fresh) known.add(what)
      findings.push(...fresh)
      if (fresh.length > 0 || outcome.end === 'broken') {
        onFinding(describe(index, { ...outcome, findings: fresh }))
        // What is wrong with one tenant is not to be found again with the next runs.
        subject = null
      }
    }
  } finally {
    await site.close()
  }
  const count = (kind: Finding['kind']) => findings.filter((finding) => finding.kind === kind).length
  const ended = (end: Outcome['end']) => outcomes.filter((outcome) => outcome.end === end).length
  return {
    seed,
    runs: outcomes.length,
    moved: ended('moved'),
    back: ended('back'),
    broken: ended('broken'),
    leftovers: count('leftover'),
    lost: count('lost'),
    doubled: count('doubled'),
    foreign: count('foreign'),
    errors: count('error'),
    acknowledged,
    byState: tally(outcomes.map(({ struckAt }) => struckAt)),
    byFault: tally(outcomes.map(({ scenario }) => scenario.fault)),
  }
}

function describe(index: number, outcome: Outcome): string {
  const { scenario, from, to, struckAt, end, findings, failures } = outcome
  return [
    `run ${index + 1}: ${end}; ${scenario.fault} at ${scenario.at} (was ${struckAt}), to be ${scenario.wish}; ${from.strategy} ${from.server} to ${to.strategy} ${to.server}`,
    ...findings.slice(0, 20).map(({ kind, what }) => `  ${kind}: ${what}`),
    ...(findings.length > 20 ? [`  and ${findings.length - 20} more`] : []),
    ...failures.slice(0, 5).map((failure) => `  on the way: ${failure}`),
  ].join('\n')
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}
