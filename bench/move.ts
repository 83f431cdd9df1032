/** What moving a tenant costs those who write to it, and those beside it; whether anything is lost. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Strategy } from '@quickscale/tenancy'
import type { RunServer } from '../test/support/server.ts'
import { asAdministrator, type BenchInstallation, type BenchTenant, install } from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { moveAlone } from './move/alone.ts'
import { copyBare } from './move/baseline.ts'
import { OpenLoop } from './move/load.ts'
import { Mover, type SeenMove } from './move/mover.ts'
import { quantile, rounded } from './statistics.ts'

export interface MoveBenchOptions {
  /** Cutovers of small tenants, all pairs together. */
  readonly cutovers: number
  /** Rows of the one large tenant. */
  readonly rows: number
  /** Writes per second to the tenant that is moved, and to the others together. */
  readonly perSecond: number
  /** Part of the time that moves under load may use. @defaultValue that of the library */
  readonly copyShare?: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

export interface MoveReport {
  readonly name: 'move'
  readonly machine: Machine
  readonly perSecond: number
  readonly moves: number
  readonly pairs: readonly string[]
  readonly cutovers: number
  /** Cutovers that were given up and tried again. */
  readonly retries: number
  readonly lost: number
  readonly doubled: number
  /** Rows of one tenant that another one sees. */
  readonly foreign: number
  readonly appErrors: number
  readonly acknowledged: number
  /** The largest latency of a write around a cutover, less the median of the others. */
  readonly pauseMs: {
    readonly p50: number
    readonly p99: number
    readonly max: number
    readonly large: number
  }
  /** How long the tenant's lock was held, until the new place was open. */
  readonly lockedMs: { readonly p50: number; readonly max: number }
  /** Rows per second of the large tenant's copy, with nothing to rest for, to those of a bare COPY. */
  readonly copyRatio: number
  /** The same under load, with its rests. */
  readonly copyRatioUnderLoad: number
  /** Changes per second, with nothing to rest for, while so many as were written during a copy were caught up with. */
  readonly applyPerSecond: number
  /** The 99th percentile of the latencies of writes to another tenant while the large one moves under load, to that before and after. */
  readonly othersP99Ratio: number
  readonly othersP99Ms: { readonly calm: number; readonly beside: number }
}

const pairs: readonly (readonly [Strategy, Strategy])[] = [
  ['rls', 'schema'],
  ['rls', 'database'],
  ['schema', 'database'],
  ['database', 'rls'],
]
/** Where a small tenant goes, one after the other: every pair has its turn. The next tenant goes round then, so that none grows. */
const circle = ['schema', 'database', 'rls', 'database', 'rls'] as const
const aroundMs = 1_000
const warmUpMs = 5_000
/** Before the moves, and once more behind them: a machine is not equally calm at all times. */
const calmMs = 15_000
const smallRows = 1_000

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runMoveBench(server: RunServer, options: MoveBenchOptions): Promise<MoveReport> {
  const machine = await describeMachine(server)
  const counts = { rls: 2 + Math.ceil(options.cutovers / circle.length), schema: 0, database: 1 }
  const installation = await install(server.url, counts, () => undefined, { waitMs: 30_000 })
  const mover = await Mover.open(installation.config)
  const ending = new AbortController()
  const signal = AbortSignal.any([options.signal, ending.signal])
  try {
    return { name: 'move', machine, ...(await measure(installation, mover, { ...options, signal })) }
  } finally {
    ending.abort()
    await mover.close()
    await installation.drop()
  }
}

/** The tenants of a run. */
interface Cast {
  readonly large: BenchTenant
  readonly neighbour: BenchTenant
  /** As many as it takes. */
  readonly small: readonly BenchTenant[]
}

/** What is gathered while tenants move. */
interface Gathered {
  readonly loops: OpenLoop[]
  readonly pausesMs: number[]
  readonly seen: SeenMove[]
}

async function measure(installation: BenchInstallation, mover: Mover, options: MoveBenchOptions) {
  const [large, neighbour, ...small] = installation.tenants.rls
  const [first] = small
  if (large === undefined || neighbour === undefined || first === undefined)
    throw new RangeError('this takes three tenants')
  const bare = await prepareRows(installation, { large, neighbour, small }, options.rows)
  options.onProgress(`moving ${options.rows} rows beside nobody`)
  const { move: alone, acknowledged } = await moveAlone(installation, mover, large, options)
  const others = new OpenLoop(installation.tenancy, neighbour.slug, options)
  const gathered: Gathered = { loops: [others], pausesMs: [], seen: [] }
  const watchCalm = async (): Promise<number[]> => {
    const writing = new OpenLoop(installation.tenancy, first.slug, options)
    gathered.loops.push(writing)
    // Connections, plans and what the rows have left to be written.
    await sleep(warmUpMs)
    const warmed = others.writes.length
    await sleep(calmMs)
    await writing.stop()
    return others.writes.slice(warmed).map(latencyOf)
  }
  const calm = await watchCalm()
  await moveSmall(installation, mover, small, options, gathered)
  options.onProgress(`moving ${options.rows} rows`)
  const before = others.writes.length
  await moveUnderLoad(installation, mover, { slug: large.slug, to: 'rls' }, options, gathered)
  const beside = quantile(others.writes.slice(before).map(latencyOf), 0.99)
  calm.push(...(await watchCalm()))
  await others.stop()
  options.onProgress('checking every row')
  for (const loop of gathered.loops) for (const id of loop.acknowledged) acknowledged.add(id)
  const checked = await check(installation, acknowledged, installation.tenants.rls)
  return {
    ...summarise(gathered, options),
    ...checked,
    ...ratios(gathered, { bare, alone, calmP99: quantile(calm, 0.99), beside }),
  }
}

/** @returns rows per second of a bare copy of the large tenant */
async function prepareRows(
  installation: BenchInstallation,
  { large, neighbour, small }: Cast,
  rows: number,
): Promise<number> {
  await fill(installation, large, rows)
  for (const tenant of [neighbour, ...small]) await fill(installation, tenant, smallRows)
  const target = await installation.urlOf('database')
  return await copyBare(await installation.urlOf('rls'), target, { tenantId: large.id, table: 'contact' })
}

async function moveSmall(
  installation: BenchInstallation,
  mover: Mover,
  small: readonly BenchTenant[],
  options: MoveBenchOptions,
  gathered: Gathered,
): Promise<void> {
  for (let index = 0; index < options.cutovers; index += 1) {
    options.signal.throwIfAborted()
    options.onProgress(`move ${index + 1} of ${options.cutovers}`)
    const to = circle[index % circle.length] ?? 'rls'
    const { slug } = small[Math.floor(index / circle.length)] as BenchTenant
    await moveUnderLoad(installation, mover, { slug, to }, options, gathered)
  }
}

async function moveUnderLoad(
  { tenancy }: BenchInstallation,
  mover: Mover,
  { slug, to }: { slug: string; to: Strategy },
  { perSecond, copyShare, signal }: MoveBenchOptions,
  { loops, pausesMs, seen }: Gathered,
): Promise<void> {
  const loop = new OpenLoop(tenancy, slug, { perSecond, signal })
  loops.push(loop)
  await sleep(aroundMs / 2)
  const move = await mover.move({ slug, to, ...(copyShare !== undefined && { copyShare }) }, { signal })
  await sleep(aroundMs)
  await loop.stop()
  seen.push(move)
  pausesMs.push(pauseOf(loop, move))
}

function summarise({ loops, pausesMs, seen }: Gathered, { perSecond }: MoveBenchOptions) {
  const lockedMs = seen.map(({ progress }) => progress.lockedMs ?? 0)
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  return {
    perSecond,
    moves: seen.length,
    pairs: pairs.map(([from, to]) => `${from}→${to}`),
    cutovers: seen.length,
    retries: sum(seen.map(({ progress }) => progress.cutoversFailed ?? 0)),
    appErrors: sum(loops.map(({ errors }) => errors)),
    acknowledged: sum(loops.map(({ acknowledged }) => acknowledged.size)),
    pauseMs: {
      p50: rounded(quantile(pausesMs, 0.5)),
      p99: rounded(quantile(pausesMs, 0.99)),
      max: rounded(Math.max(...pausesMs)),
      large: rounded(pausesMs.at(-1) ?? 0),
    },
    lockedMs: { p50: quantile(lockedMs, 0.5), max: Math.max(...lockedMs) },
  }
}

/** Of the large tenant, which moved last. */
function ratios(
  { seen }: Gathered,
  { bare, alone, calmP99, beside }: { bare: number; alone: SeenMove; calmP99: number; beside: number },
) {
  const large = seen.at(-1)
  return {
    copyRatio: rounded((alone.progress.rowsPerSecond ?? 0) / bare),
    copyRatioUnderLoad: rounded((large?.progress.rowsPerSecond ?? 0) / bare),
    applyPerSecond: rounded(applyRate(alone)),
    othersP99Ratio: rounded(beside / calmP99),
    othersP99Ms: { calm: rounded(calmP99), beside: rounded(beside) },
  }
}

function latencyOf({ dueAtMs, answeredAtMs }: { dueAtMs: number; answeredAtMs: number }): number {
  return answeredAtMs - dueAtMs
}

/** Of the writes that overlap the second before and after the switch, the slowest, beside the median of the rest. */
function pauseOf({ writes }: OpenLoop, { switchedAtMs }: SeenMove): number {
  const around = writes.filter(
    ({ dueAtMs, answeredAtMs }) =>
      answeredAtMs > switchedAtMs - aroundMs && dueAtMs < switchedAtMs + aroundMs / 2,
  )
  const rest = writes.filter((write) => !around.includes(write))
  const usual = rest.length === 0 ? 0 : quantile(rest.map(latencyOf), 0.5)
  return Math.max(...around.map(latencyOf)) - usual
}

/** Changes per second while what was written during the copy was caught up with. */
function applyRate(move: SeenMove): number {
  return move.changesCaughtUp / Math.max(0.001, (move.caughtUpAtMs - move.streamingAtMs) / 1000)
}

async function fill({ urlOf }: BenchInstallation, { id }: BenchTenant, rows: number): Promise<void> {
  await asAdministrator(await urlOf('rls'), async (client) => {
    await client.query(
      `insert into app.contact (name, email, tenant_id)
       select 'Contact ' || n, 'contact-' || n || '@example.com', $1 from generate_series(1, $2) as n`,
      [id, rows],
    )
    await client.query('vacuum analyze app.contact')
  })
}

/** Looks at every row, past all walls, and in each tenant's own context. */
async function check(
  installation: BenchInstallation,
  acknowledged: ReadonlySet<string>,
  tenants: readonly BenchTenant[],
) {
  let [lost, doubled, foreign] = [0, 0, 0]
  const found = new Map<string, number>()
  for (const { slug } of tenants) {
    const { rows } = await installation.tenancy.tenant(slug).query('select id, name from message')
    for (const { id, name } of rows) {
      found.set(id, (found.get(id) ?? 0) + 1)
      if (name !== slug) foreign += 1
    }
  }
  for (const id of acknowledged) if (!found.has(id)) lost += 1
  for (const count of found.values()) doubled += count - 1
  return { lost, doubled, foreign }
}
