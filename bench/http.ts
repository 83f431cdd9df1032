/**
 * What the tenancy costs a request: the application's own routes under each strategy, compared with the same routes over
 * plain tables, in the same process, with the same authentication, membership and limits. Rounds are interleaved; what is
 * compared is of one round.
 */
import type { Strategy } from '@quickscale/tenancy'
import type { RunServer } from '../test/support/server.ts'
import { type HttpClient, openClient, type RouteName, routeNames } from './http/client.ts'
import { measureNeighbours, type NeighbourOptions, type Neighbours } from './http/neighbours.ts'
import { type HttpStage, type HttpStageOptions, setHttpStage } from './http/stage.ts'
import { connectionsPerPool } from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { measureSlice, type Slice } from './measure.ts'
import { median, quantile, relativeSpread, rounded } from './statistics.ts'

export interface HttpBenchOptions extends Omit<HttpStageOptions, 'onProgress'> {
  /** Of the floods. */
  readonly flood: Pick<NeighbourOptions, 'turns' | 'turnMs' | 'onsets'>
  readonly rounds: number
  /** How long each subject is timed per round and route. */
  readonly sliceMs: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

interface HttpRow {
  readonly strategy: Strategy
  readonly route: RouteName
  /** Median over the rounds of its requests per second, divided by those over plain tables in the same round. */
  readonly requestRatio: number
  /** The 99th percentile of the latencies of all rounds, divided by that over plain tables. */
  readonly p99Ratio: number
  readonly requestsPerSecond: number
  readonly p99Ms: number
}

export interface HttpReport extends Neighbours {
  readonly name: 'http'
  readonly machine: Machine
  readonly rounds: number
  /** Relative interquartile range of the plain routes' time per request; the median of both. */
  readonly noise: number
  readonly rows: readonly HttpRow[]
}

const strategies = ['rls', 'schema', 'database'] as const
type Subject = 'plain' | Strategy
const subjects: readonly Subject[] = ['plain', ...strategies]

const clients = connectionsPerPool
const warmUpMs = 500

type Slices = ReadonlyMap<RouteName, ReadonlyMap<Subject, Slice[]>>

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runHttpBench(server: RunServer, options: HttpBenchOptions): Promise<HttpReport> {
  const machine = await describeMachine(server)
  const onProgress = (done: number, total: number) => options.onProgress(`${done} of ${total} tenants`)
  const stage = await setHttpStage(server.url, { ...options, onProgress })
  try {
    const slices = await measure(stage, options)
    const neighbours = await measureNeighbours(stage, { ...options, ...options.flood })
    return { name: 'http', machine, rounds: options.rounds, ...summarize(slices), ...neighbours }
  } finally {
    await stage.close()
  }
}

async function measure(stage: HttpStage, options: HttpBenchOptions): Promise<Slices> {
  const { rounds, sliceMs, signal, onProgress } = options
  const behind = {
    tenancy: openClient(stage, stage.ports.tenancy, clients),
    plain: openClient(stage, stage.ports.plain, clients),
  }
  const slices = new Map(
    routeNames.map((route) => [route, new Map(subjects.map((subject): [Subject, Slice[]] => [subject, []]))]),
  )
  try {
    const time = (route: RouteName, subject: Subject, durationMs: number) =>
      measureSlice(operation(stage, behind, route, subject), { clients, durationMs, signal })
    for (const route of routeNames) {
      onProgress(`warming up: ${route}`)
      for (const subject of subjects) await time(route, subject, Math.min(warmUpMs, sliceMs))
    }
    for (let round = 0; round < rounds; round += 1) {
      onProgress(`round ${round + 1} of ${rounds}`)
      for (const route of routeNames) {
        for (let turn = 0; turn < subjects.length; turn += 1) {
          const subject = subjects[(round + turn) % subjects.length] ?? 'plain'
          slices
            .get(route)
            ?.get(subject)
            ?.push(await time(route, subject, sliceMs))
        }
      }
    }
  } finally {
    await Promise.all([behind.tenancy.close(), behind.plain.close()])
  }
  return slices
}

/** The tenants of the subject, one after the other. */
function operation(
  { installation }: HttpStage,
  behind: { readonly tenancy: HttpClient; readonly plain: HttpClient },
  route: RouteName,
  subject: Subject,
): () => Promise<void> {
  const slugs = installation.tenants[subject === 'plain' ? 'rls' : subject].map(({ slug }) => slug)
  const client = subject === 'plain' ? behind.plain : behind.tenancy
  let next = 0
  return () => {
    next = (next + 1) % slugs.length
    return client.ask(route, slugs[next] ?? '')
  }
}

function summarize(measured: Slices): Pick<HttpReport, 'noise' | 'rows'> {
  const spreads: number[] = []
  const rows = [...measured].flatMap(([route, bySubject]) => {
    const plain = bySubject.get('plain') ?? []
    spreads.push(relativeSpread(plain.map(({ msPerQuery }) => msPerQuery)))
    return strategies.map((strategy): HttpRow => {
      const own = bySubject.get(strategy) ?? []
      const ratios = own.map(({ msPerQuery }, round) => (plain[round]?.msPerQuery ?? Number.NaN) / msPerQuery)
      return {
        strategy,
        route,
        requestRatio: rounded(median(ratios)),
        p99Ratio: rounded(p99(own) / p99(plain)),
        requestsPerSecond: Math.round(median(own.map(({ msPerQuery }) => 1000 / msPerQuery))),
        p99Ms: rounded(p99(own)),
      }
    })
  })
  return { noise: rounded(median(spreads)), rows }
}

function p99(slices: readonly Slice[]): number {
  return quantile(
    slices.flatMap(({ latenciesMs }) => latenciesMs),
    0.99,
  )
}
