/** What row security costs searches, beside the same tables without it: whether the index is used, and the time. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Strategy } from '@quickscale/tenancy'
import pg from 'pg'
import type { RunServer } from '../test/support/server.ts'
import { type BenchInstallation, install } from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { fillItems, type SearchKind, searchKinds } from './search-kinds.ts'
import { median, relativeSpread, rounded } from './statistics.ts'

export interface SearchBenchOptions {
  /** Of the one tenant of each strategy. */
  readonly rows: number
  /** How often each search is timed. */
  readonly rounds: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

interface SearchRow {
  readonly kind: string
  readonly strategy: Strategy
  /** Median over the rounds of the time divided by that of the tables without row security in the same round. */
  readonly ratio: number
  /** The plan asks the index for the column that is searched. */
  readonly indexUsed: boolean
  readonly p50Ms: number
  readonly plainP50Ms: number
}

export interface SearchReport {
  readonly name: 'search'
  readonly machine: Machine
  readonly rounds: number
  /** Relative interquartile range of the time without row security; the median of all kinds. */
  readonly noise: number
  /** Rows of each tenant. */
  readonly rowsPerTenant: number
  readonly rows: readonly SearchRow[]
}

interface Asked {
  query(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }>
}

const strategies = ['rls', 'schema', 'database'] as const
/** Long enough to fill a table and to search it without an index. */
const statementTimeoutMs = 3_600_000
const directory = (name: string) => join(import.meta.dirname, 'search', name)

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runSearchBench(server: RunServer, options: SearchBenchOptions): Promise<SearchReport> {
  const { rows, rounds, onProgress } = options
  const machine = await describeMachine(server)
  const one = { rls: 1, schema: 1, database: 1 }
  const installation = await install(server.url, one, () => undefined, { statementTimeoutMs }, [
    directory('tables'),
  ])
  let plain: pg.Client | undefined
  try {
    plain = await setStage(installation, options)
    const measured: SearchRow[] = []
    const spreads: number[] = []
    for (const kind of searchKinds) {
      onProgress(kind.kind)
      const { found, spread } = await measureKind(installation, plain, kind, options)
      measured.push(...found)
      spreads.push(spread)
    }
    const noise = rounded(median(spreads))
    return { name: 'search', machine, rounds, noise, rowsPerTenant: rows, rows: measured }
  } finally {
    await plain?.end()
    await installation.drop()
  }
}

/** Fills the tables first and makes the indexes then, which is faster; the same tables without row security beside. */
async function setStage(
  installation: BenchInstallation,
  { rows, signal, onProgress }: SearchBenchOptions,
): Promise<pg.Client> {
  for (const strategy of strategies) {
    signal.throwIfAborted()
    onProgress(`rows of ${strategy}`)
    await tenantOf(installation, strategy).query(fillItems, [rows])
  }
  onProgress('indexes')
  await installation.migrate([directory('indexes')])
  const plain = new pg.Client({ connectionString: await installation.urlOf('rls') })
  await plain.connect()
  try {
    await plain.query('create schema plain; set search_path = plain, extensions')
    // The extension is there already, where the library keeps it.
    const tables = (await readFile(join(directory('tables'), '0001_item.sql'), 'utf8')).replace(
      'create extension pg_trgm;',
      '',
    )
    await plain.query(tables)
    onProgress('rows without row security')
    await plain.query(fillItems, [rows])
    await plain.query(await readFile(join(directory('indexes'), '0001_item_indexes.sql'), 'utf8'))
    signal.throwIfAborted()
    onProgress('statistics')
    await installation.vacuum()
    return plain
  } catch (error) {
    await plain.end()
    throw error
  }
}

function tenantOf({ tenancy, tenants }: BenchInstallation, strategy: Strategy): Asked {
  const [tenant] = tenants[strategy]
  if (tenant === undefined) throw new RangeError(`no tenant of ${strategy}`)
  const handle = tenancy.tenant(tenant.slug)
  return { query: (text, values) => handle.query(text, values) }
}

async function measureKind(
  installation: BenchInstallation,
  plain: Asked,
  kind: SearchKind,
  { rounds, signal }: SearchBenchOptions,
): Promise<{ found: SearchRow[]; spread: number }> {
  const wanted = (await plain.query(kind.text, [kind.value])).rows
  const { rows: plans } = await plain.query(`explain (format json) ${kind.text}`, [kind.value])
  if (!usesIndex(plans[0]?.['QUERY PLAN'], kind))
    throw new Error(`${kind.kind}: not even plain tables use the index`)
  const ours = strategies.map((strategy) => ({
    strategy,
    asked: tenantOf(installation, strategy),
    times: [] as number[],
  }))
  const plainTimes: number[] = []
  const subjects = [{ asked: plain, times: plainTimes }, ...ours]
  for (let round = 0; round < rounds; round += 1) {
    for (const { asked, times } of round % 2 === 0 ? subjects : subjects.toReversed()) {
      signal.throwIfAborted()
      // All tables together do not fit into the server's memory: the first time is for that.
      await asked.query(kind.text, [kind.value])
      const startedMs = performance.now()
      const { rows } = await asked.query(kind.text, [kind.value])
      times.push(performance.now() - startedMs)
      if (JSON.stringify(rows) !== JSON.stringify(wanted)) {
        throw new Error(`${kind.kind}: found ${JSON.stringify(rows)}, not ${JSON.stringify(wanted)}`)
      }
    }
  }
  const found: SearchRow[] = []
  for (const { strategy, times } of ours) {
    found.push({
      kind: kind.kind,
      strategy,
      ratio: rounded(median(times.map((ms, round) => ms / (plainTimes[round] ?? Number.NaN)))),
      indexUsed: usesIndex(await installation.explain(strategy, kind.text, [kind.value]), kind),
      p50Ms: rounded(median(times)),
      plainP50Ms: rounded(median(plainTimes)),
    })
  }
  return { found, spread: relativeSpread(plainTimes) }
}

interface PlanNode {
  readonly 'Index Name'?: string
  readonly 'Index Cond'?: string
  readonly Plans?: readonly PlanNode[]
}

/** Whether the index is asked for the column, and not only for the tenant. */
function usesIndex(plan: unknown, { index, column }: SearchKind): boolean {
  const waiting = (plan as readonly { Plan: PlanNode }[]).map(({ Plan }) => Plan)
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (node['Index Name'] === index && node['Index Cond']?.includes(`${column} `)) return true
    waiting.push(...(node.Plans ?? []))
  }
  return false
}
