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
  readonly neighbourP99Ms: { readonly alone: number; readonly flooded: number }
  /** How the flood was answered. */
  readonly flood: FloodReport
}

const quietPerSecond = 20
const floodConnections = 32

export async function measureNeighbours(stage: HttpStage, options: NeighbourOptions): Promise<Neighbours> {
  const { turns, turnMs, signal, onProgress } = options
  const [noisy, quiet] = stage.installation.tenants.rls
  if (noisy === undefined || quiet === undefined) throw new RangeError('this takes two tenants')
  const { headers, noisyHeaders, ports } = stage
  const client = openClient({ headers, companyId: stage.companyId }, ports.limited, 8)
  const child = fork(join(import.meta.dirname, 'flood-process.ts'))
  const tell = async (message: FloodOrder | 'on' | 'off') => {
    child.send(message)
    return (await once(child, 'message'))[0] as FloodReport
  }
  const latencies: Record<'alone' | 'flooded', number[]> = { alone: [], flooded: [] }
  let flood: FloodReport = { answered: 0, refused: 0 }
  try {
    await tell({
      port: ports.limited,
      slug: noisy.slug,
      headers: noisyHeaders,
      connections: floodConnections,
    })
    const ask = () => client.ask('GET contacts', quiet.slug)
    await askSteadily(ask, turnMs, signal)
    for (let turn = 0; turn < turns; turn += 1) {
      onProgress(`flood ${turn + 1} of ${turns}`)
      latencies.alone.push(...(await askSteadily(ask, turnMs, signal)))
      await tell('on')
      latencies.flooded.push(...(await askSteadily(ask, turnMs, signal)))
      const { answered, refused } = await tell('off')
      flood = { answered: flood.answered + answered, refused: flood.refused + refused }
    }
  } finally {
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await client.close()
  }
  const [alone, flooded] = [quantile(latencies.alone, 0.99), quantile(latencies.flooded, 0.99)]
  const neighbourP99Ms = { alone: rounded(alone), flooded: rounded(flooded) }
  return { neighbourP99Ratio: rounded(flooded / alone), neighbourP99Ms, flood }
}

/** One request after the other is due, whether the last one was answered or not: who is slow is not spared. */
async function askSteadily(ask: () => Promise<void>, forMs: number, signal: AbortSignal): Promise<number[]> {
  const latencies: number[] = []
  const running: Promise<void>[] = []
  const startedMs = performance.now()
  for (let asked = 0; (asked * 1000) / quietPerSecond < forMs; asked += 1) {
    signal.throwIfAborted()
    const dueMs = startedMs + (asked * 1000) / quietPerSecond
    await sleep(Math.max(0, dueMs - performance.now()))
    running.push(ask().then(() => void latencies.push(performance.now() - dueMs)))
  }
  await Promise.all(running)
  return latencies
}
