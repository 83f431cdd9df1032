/**
 * What a tenant notices of another one that floods the same process: its latencies at a steady rate, alone and beside the flood,
 * in turns, which are long, so that the beginning of a flood weighs no more than it does; and that beginning by itself.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { median, quantile, rounded } from '../statistics.ts'
import { openClient } from './client.ts'
import type { FloodOrder, FloodReport } from './flood-process.ts'
import type { HttpStage } from './stage.ts'

export interface NeighbourOptions {
  readonly turns: number
  /** How long each turn lasts, alone and beside the flood. */
  readonly turnMs: number
  /** How many short floods there are besides, for their beginnings. */
  readonly onsets: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

export interface Neighbours {
  /** The 99th percentile of the latencies beside the flood, divided by that alone. */
  readonly neighbourP99Ratio: number
  /** The same beside as many connections that get nothing but refusals, at once and from a server without anything else. */
  readonly refusalsP99Ratio: number
  readonly neighbourP99Ms: { readonly alone: number; readonly flooded: number }
  /** Latencies of what was due in the first tenth of a second of short floods. */
  readonly onsetMs: { readonly p50: number; readonly max: number }
  /** How the flood was answered. */
  readonly flood: FloodReport
}

const quietPerSecond = 20
const beatMs = 1000 / quietPerSecond
const floodConnections = 32
const warmUpMsMax = 3_000
const onsetMs = 100
/** A short flood, and what comes before it: so few in a window of the limits that none of them is refused. */
const shortFloodMs = 300
const calmMs = 1_500

type Latencies = Record<'alone' | 'flooded' | 'refused' | 'onset', number[]>

export async function measureNeighbours(stage: HttpStage, options: NeighbourOptions): Promise<Neighbours> {
  const { turnMs, signal } = options
  const [noisy, quiet] = stage.installation.tenants.rls
  if (noisy === undefined || quiet === undefined) throw new RangeError('this takes two tenants')
  const { headers, noisyHeaders, ports } = stage
  const client = openClient({ headers, companyId: stage.companyId }, ports.limited, 8)
  const order = { slug: noisy.slug, headers: noisyHeaders, connections: floodConnections }
  const floods = await Promise.all(
    [ports.limited, ports.refusing].map((port) => startFlood({ ...order, port })),
  )
  const [flooding, refusing] = floods
  if (flooding === undefined || refusing === undefined) throw new Error('there is no flood')
  const askFor = (forMs: number) => askSteadily(() => client.ask('GET contacts', quiet.slug), forMs, signal)
  try {
    // Connections, plans and what Node has yet to compile, on either side.
    for (const flood of floods) await besideFlood(flood, () => askFor(Math.min(warmUpMsMax, turnMs)))
    const { flood, ...latencies } = await takeTurns({ flooding, refusing, askFor }, options)
    const onset = await meetOnsets({ flooding, askFor }, options)
    return { ...compare({ ...latencies, onset }), flood }
  } finally {
    await Promise.all(floods.map(({ stop }) => stop()))
    await client.close()
  }
}

type Flood = Pick<Awaited<ReturnType<typeof startFlood>>, 'tell'>

interface Scene {
  readonly flooding: Flood
  readonly refusing: Flood
  askFor(forMs: number): Promise<Asked[]>
}

async function takeTurns(
  { flooding, refusing, askFor }: Scene,
  { turns, turnMs, onProgress }: NeighbourOptions,
): Promise<Omit<Latencies, 'onset'> & { readonly flood: FloodReport }> {
  const latencies = { alone: [] as number[], flooded: [] as number[], refused: [] as number[] }
  let flood: FloodReport = { answered: 0, refused: 0 }
  const steadily = () => askFor(turnMs)
  for (let turn = 0; turn < turns; turn += 1) {
    onProgress(`flood ${turn + 1} of ${turns}`)
    latencies.alone.push(...(await steadily()).map(latencyOf))
    const { met, report } = await besideFlood(flooding, steadily)
    latencies.flooded.push(...met)
    flood = { answered: flood.answered + report.answered, refused: flood.refused + report.refused }
    latencies.refused.push(...(await besideFlood(refusing, steadily)).met)
  }
  return { ...latencies, flood }
}

/** @returns latencies of what was due just after each flood began */
async function meetOnsets(
  { flooding, askFor }: Pick<Scene, 'flooding' | 'askFor'>,
  { onsets, onProgress }: NeighbourOptions,
): Promise<number[]> {
  const latencies: number[] = []
  for (let onset = 0; onset < onsets; onset += 1) {
    onProgress(`beginning of a flood, ${onset + 1} of ${onsets}`)
    await askFor(calmMs)
    const { met } = await besideFlood(flooding, () => askFor(shortFloodMs), { fromMs: 0, toMs: onsetMs })
    latencies.push(...met)
  }
  return latencies
}

function compare({ alone, flooded, refused, onset }: Latencies): Omit<Neighbours, 'flood'> {
  const p99 = (each: readonly number[]) => quantile(each, 0.99)
  return {
    neighbourP99Ratio: rounded(p99(flooded) / p99(alone)),
    refusalsP99Ratio: rounded(p99(refused) / p99(alone)),
    neighbourP99Ms: { alone: rounded(p99(alone)), flooded: rounded(p99(flooded)) },
    onsetMs: { p50: rounded(median(onset)), max: rounded(Math.max(...onset)) },
  }
}

/** A request, and how long it took from when it was due. */
interface Asked {
  readonly dueMs: number
  readonly answeredMs: number
}

function latencyOf({ dueMs, answeredMs }: Asked): number {
  return answeredMs - dueMs
}

/**
 * The flood begins at any moment between two requests: begun with one of them, it would meet one in so many as no flood does.
 *
 * @param due which requests count, by when they were due after it began; usually from the last one before
 */
async function besideFlood(
  { tell }: Flood,
  steadily: () => Promise<Asked[]>,
  due = { fromMs: -beatMs, toMs: Number.POSITIVE_INFINITY },
): Promise<{ readonly met: number[]; readonly report: FloodReport }> {
  const asking = steadily()
  await sleep(Math.random() * beatMs)
  const begunMs = performance.now()
  await tell('on')
  const asked = await asking
  const report = await tell('off')
  const counts = ({ dueMs }: Asked) => dueMs >= begunMs + due.fromMs && dueMs < begunMs + due.toMs
  return { met: asked.filter(counts).map(latencyOf), report }
}

async function startFlood(order: FloodOrder) {
  const child = fork(join(import.meta.dirname, 'flood-process.ts'))
  const tell = async (message: FloodOrder | 'on' | 'off') => {
    child.send(message)
    return (await once(child, 'message'))[0] as FloodReport
  }
  await tell(order)
  const stop = async () => {
    if (child.exitCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { tell, stop }
}

/** One request after the other is due, whether the last one was answered or not: who is slow is not spared. */
async function askSteadily(ask: () => Promise<void>, forMs: number, signal: AbortSignal): Promise<Asked[]> {
  const answered: Asked[] = []
  const running: Promise<void>[] = []
  const startedMs = performance.now()
  for (let asked = 0; asked * beatMs < forMs; asked += 1) {
    signal.throwIfAborted()
    const beginsMs = startedMs + asked * beatMs
    await sleep(Math.max(0, beginsMs - performance.now()))
    // Timers leave fractions out: they are up to a millisecond early, and an answer would seem as much faster.
    const dueMs = Math.min(beginsMs, performance.now())
    running.push(ask().then(() => void answered.push({ dueMs, answeredMs: performance.now() })))
  }
  await Promise.all(running)
  return answered
}
