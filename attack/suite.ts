import type { Strategy } from '@quickscale/tenancy'
import type { Attack, AttackResult, Finding, Verdict } from './attack.ts'
import { type Installation, install, strategies } from './installation.ts'
import { runOnNaive } from './run-naive.ts'
import { openRange, type Range } from './run-ours.ts'
import { prepareSeeds } from './seed-ground.ts'

export interface SuiteResult {
  readonly attacks: readonly AttackResult[]
  readonly summary: Summary
  /** Why an attack did not end as it should. */
  readonly findings: readonly Finding[]
}

interface Summary {
  readonly attacks: number
  readonly naiveSucceeded: number
  readonly blocked: number
  readonly leaked: number
  readonly invalid: number
  readonly seconds: number
}

export interface SuiteOptions {
  readonly databaseUrl: string
  readonly attacks: readonly Attack[]
  readonly onProgress?: (what: string) => void
}

/**
 * Installs, carries every attack out on its naive target and then on ours: under each strategy, with the rights as
 * the library sets them and once more with those of a managed server. Removes everything it has made.
 */
export async function runSuite({
  databaseUrl,
  attacks,
  onProgress = () => undefined,
}: SuiteOptions): Promise<SuiteResult> {
  const startMs = performance.now()
  const installation = await install(databaseUrl, onProgress)
  try {
    const findings: Finding[] = []
    const naive = await runAllOnNaive(installation, attacks, { findings, onProgress })
    const verdicts = await runAllOnOurs(installation, attacks, { findings, onProgress })
    const results = attacks.map(({ id, title }) => {
      const verdictOf = (strategy: Strategy): Verdict => verdicts.get(`${id} ${strategy}`) ?? 'invalid'
      return {
        id,
        title,
        naive: naive.has(id) ? ('succeeded' as const) : ('failed' as const),
        rls: verdictOf('rls'),
        schema: verdictOf('schema'),
        database: verdictOf('database'),
      }
    })
    const seconds = Math.round((performance.now() - startMs) / 100) / 10
    return { attacks: results, summary: { ...count(results), seconds }, findings }
  } finally {
    await installation.remove()
  }
}

/** True when nothing leaked, nothing was invalid and every naive target fell. */
export function isSound({ leaked, invalid, naiveSucceeded, attacks }: Summary): boolean {
  return leaked === 0 && invalid === 0 && naiveSucceeded === attacks
}

interface Log {
  readonly findings: Finding[]
  readonly onProgress: (what: string) => void
}

async function runAllOnNaive(
  installation: Installation,
  attacks: readonly Attack[],
  { findings, onProgress }: Log,
): Promise<ReadonlySet<string>> {
  const roles = await prepareSeeds(installation)
  const fallen = new Set<string>()
  for (const attack of attacks) {
    onProgress(`${attack.id} on its naive target`)
    const { leaks, problem } = await runOnNaive(attack, installation, roles)
    if (leaks.length > 0) fallen.add(attack.id)
    else findings.push({ attack: attack.id, where: 'naive', reasons: [problem ?? 'nothing leaked'] })
  }
  return fallen
}

const severity: readonly Verdict[] = ['blocked', 'invalid', 'leaked']

async function runAllOnOurs(
  installation: Installation,
  attacks: readonly Attack[],
  { findings, onProgress }: Log,
): Promise<ReadonlyMap<string, Verdict>> {
  const verdicts = new Map<string, Verdict>()
  const run = async (range: Range, strategy: Strategy, attack: Attack, managed: boolean) => {
    onProgress(`${attack.id} on ${strategy}${managed ? ', managed server' : ''}`)
    const { verdict, reasons } = await range.run(attack, managed)
    const key = `${attack.id} ${strategy}`
    const known = verdicts.get(key) ?? 'blocked'
    verdicts.set(key, severity.indexOf(verdict) > severity.indexOf(known) ? verdict : known)
    if (verdict !== 'blocked') {
      findings.push({
        attack: attack.id,
        where: `${strategy}${managed ? ', managed' : ''}: ${verdict}`,
        reasons,
      })
    }
  }
  for (const managed of [false, true]) {
    if (managed) await installation.soften()
    for (const strategy of strategies) {
      const range = await openRange(installation, strategy)
      for (const attack of attacks.filter(({ hardenedOnly }) => !(managed && hardenedOnly))) {
        await run(range, strategy, attack, managed)
      }
      await range.close()
    }
  }
  return verdicts
}

function count(results: readonly AttackResult[]): Omit<Summary, 'seconds'> {
  const cells = results.flatMap(({ rls, schema, database }) => [rls, schema, database])
  const tally = (verdict: Verdict) => cells.filter((cell) => cell === verdict).length
  return {
    attacks: results.length,
    naiveSucceeded: results.filter(({ naive }) => naive === 'succeeded').length,
    blocked: tally('blocked'),
    leaked: tally('leaked'),
    invalid: tally('invalid'),
  }
}
