/**
 * What a tenant notices of another one that floods the same process: its latencies at a steady rate, alone and beside the flood,
 * in turns.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile, rounded } from '../statistics.ts'
import { openClient } from './client.ts'
import type { FloodOrder, FloodReport } from './flood-process.ts'
import type { HttpStage } from './stage.ts'

export interface NeighbourOptions {
  readonly turns: number
  /** How long each turn lasts, alone and beside the flood. */
  readonly turnMs: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

export interface Neighbours {
  /** The 99th percentile of the latencies beside the flood, divided by that alone. */
  readonly neighbourP99Ratio: number
  /** The same beside as many connections that get nothing but refusals, at once and from a server without anything else. */
  readonly refusalsP99Ratio: number
  readonly neighbourP99Ms: { readonly alone: number; readonly flooded: number }
  /** How the flood was answered. */
  readonly flood: FloodReport
}

const quietPerSecond = 20
const beatMs = 1000 / quietPerSecond
const floodConnections = 32

export async function measureNeighbours(stage: HttpStage, options: NeighbourOptions): Promise<Neighbours> {
  const { turns, turnMs, signal, onProgress } = options
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
  const latencies: Record<'alone' | 'flooded' | 'refused', number[]> = { alone: [], flooded: [], refused: [] }
  let flood: FloodReport = { answered: 0, refused: 0 }
  try {
    const ask = () => client.ask('GET contacts', quiet.slug)
    // Connections, plans and what Node has yet to compile, on either side.
    for (const { tell } of floods) {
      await besideFlood({ tell }, () => askSteadily(ask, turnMs, signal))
    }
    for (let turn = 0; turn < turns; turn += 1) {
      onProgress(`flood ${turn + 1} of ${turns}`)
      const steadily = () => askSteadily(ask, turnMs, signal)
      latencies.alone.push(...(await steadily()).map(latencyOf))
      const flooded = await besideFlood(flooding, steadily)
      latencies.flooded.push(...flooded.latenciesMs)
      const { answered, refused } = flooded.report
      flood = { answered: flood.answered + answered, refused: flood.refused + refused }
      latencies.refused.push(...(await besideFlood(refusing, steadily)).latenciesMs)
    }
  } finally {
    await Promise.all(floods.map(({ stop }) => stop()))
    await client.close()
  }
  return { ...compare(latencies), flood }
}

function compare(latencies: Record<'alone' | 'flooded' | 'refused', number[]>): Omit<Neighbours, 'flood'> {
  const p99 = (each: readonly number[]) => quantile(each, 0.99)
  const [alone, flooded] = [p99(latencies.alone), p99(latencies.flooded)]
  return {
    neighbourP99Ratio: rounded(flooded / alone),
    refusalsP99Ratio: rounded(p99(latencies.refused) / alone),
    neighbourP99Ms: { alone: rounded(alone), flooded: rounded(flooded) },
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
 * @returns latencies from the last request that was due before it began
 */
async function besideFlood(
  { tell }: Pick<Awaited<ReturnType<typeof startFlood>>, 'tell'>,
  steadily: () => Promise<Asked[]>,
): Promise<{ readonly latenciesMs: number[]; readonly report: FloodReport }> {
  const asking = steadily()
  await sleep(Math.random() * beatMs)
  const begunMs = performance.now()
  await tell('on')
  const asked = await asking
  const report = await tell('off')
  return { latenciesMs: asked.filter(({ dueMs }) => dueMs > begunMs - beatMs).map(latencyOf), report }
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
    const dueMs = startedMs + asked * beatMs
    await sleep(Math.max(0, dueMs - performance.now()))
    running.push(ask().then(() => void answered.push({ dueMs, answeredMs: performance.now() })))
  }
  await Promise.all(running)
  return answered
}
