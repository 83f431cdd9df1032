/**
 * What a query costs under each strategy, compared with plain tables. Every round times every subject once, in an
 * order that changes from round to round, so that a machine that is slow for a while is slow for all of them; a
 * subject is compared with `raw` of the same round only.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunServer } from '../test/support/server.ts'
import { connectionsPerPool } from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { forEachConcurrently, measureSlice, type Slice } from './measure.ts'
import { type DelayProxy, startProxy } from './proxy.ts'
import { type Stage, type StageOptions, setStage } from './stage.ts'
import { median, relativeSpread, rounded } from './statistics.ts'
import { isPeer, ownSubjects, type SubjectName } from './subjects.ts'
import type { QueryName } from './workload.ts'

type NetworkName = 'loopback' | '1ms'

/** Which combinations are measured. */
export interface QueryDimensions {
  /** `raw` is measured even when it is not named: the others are compared with it. */
  readonly subjects: readonly SubjectName[]
  readonly queries: readonly QueryName[]
  readonly networks: readonly NetworkName[]
  readonly clients: readonly number[]
}

export const allDimensions: QueryDimensions = {
  subjects: ownSubjects,
  queries: ['point', 'page', 'insert'],
  networks: ['loopback', '1ms'],
  clients: [1, 8],
}

export interface QueryBenchOptions extends Pick<StageOptions, 'tenants' | 'rowsPerTenant'> {
  readonly rounds: number
  /** How long each subject is timed per round and combination. */
  readonly sliceMs: number
  /** Executions of each statement on each connection beforehand: the server settles on a plan after five. */
  readonly warmUpRuns: number
  /** Queries of each client in which round trips are counted. */
  readonly countedRuns: number
  readonly dimensions: QueryDimensions
  readonly signal: AbortSignal
  onProgress(message: string): void
}

interface QueryRow {
  readonly subject: SubjectName
  readonly query: QueryName
  readonly network: NetworkName
  readonly clients: number
  /** Median over the rounds of the time per query, divided by that of `raw` in the same round. */
  readonly costRatio: number
  readonly roundTrips: number
  /** Answers with another tenant's rows, in all rounds; of inserts, tenants whose rows are not as many as they inserted. */
  readonly wrongTenant: number
  readonly p50Ms: number
  /** Queries per second of all clients together. */
  readonly qps: number
}

export interface QueryReport {
  readonly name: 'query'
  readonly machine: Machine
  readonly rounds: number
  /** Relative interquartile range of `raw`'s time per query over the rounds; the median of all combinations. */
  readonly noise: number
  readonly rows: readonly QueryRow[]
}

const oneWayDelayMs = 0.5
/** The smallest counts: every few seconds the library asks whether it still hears the catalog, through the proxy too. */
const countings = 3
/** How long no message may pass before round trips are counted, and how often that is tried. */
const settlingMs = 100
const settlingWaitsMax = 50

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runQueryBench(server: RunServer, options: QueryBenchOptions): Promise<QueryReport> {
  const machine = await describeMachine(server)
  const proxy = await startProxy(server.url, oneWayDelayMs)
  const stages: Partial<Record<NetworkName, Stage>> = {}
  try {
    // Behind the proxy even when only the loopback is timed: round trips are counted there.
    const networks = new Set<NetworkName>(['1ms', ...options.dimensions.networks])
    const trips = new Map<string, number>()
    for (const network of networks) {
      const url = network === 'loopback' ? server.url : proxy.through(server.url)
      const { tenants, rowsPerTenant, signal } = options
      signal.throwIfAborted()
      const onProgress = (done: number, total: number) =>
        options.onProgress(`${network}: ${done} of ${total} tenants`)
      const stage = await setStage(url, {
        tenants,
        rowsPerTenant,
        seed: network,
        peers: options.dimensions.subjects.filter(isPeer),
        onProgress,
      })
      stages[network] = stage
      await warmUp(stage, options, network === 'loopback' ? null : { proxy, trips })
    }
    const combinations = await measure(stages, options)
    for (const stage of Object.values(stages)) await stage.checkInserts()
    const wrongTenants = (network: NetworkName, subject: SubjectName, query: QueryName) =>
      stages[network]?.wrongTenants(subject, query) ?? 0
    return {
      name: 'query',
      machine,
      rounds: options.rounds,
      ...summarize(combinations, trips, wrongTenants),
    }
  } finally {
    // Also when dropping fails: the proxy's thread would keep the process alive.
    await Promise.all(Object.values(stages).map((stage) => stage.close())).finally(() => proxy.close())
  }
}

/**
 * Opens every connection, prepares every statement on each, and counts round trips: they depend on the subject, the
 * query and the number of clients, not on the network.
 */
async function warmUp(
  stage: Stage,
  { dimensions, warmUpRuns, countedRuns, signal, onProgress }: QueryBenchOptions,
  counting: { proxy: DelayProxy; trips: Map<string, number> } | null,
): Promise<void> {
  for (const subject of measuredSubjects(dimensions)) {
    for (const query of dimensions.queries) {
      signal.throwIfAborted()
      onProgress(`warming up: ${subject}, ${query}`)
      const warmUpRows = Array.from({ length: warmUpRuns * connectionsPerPool }, () => 0)
      for (const tenant of stage.subjects.get(subject)?.tenants ?? []) {
        await forEachConcurrently(warmUpRows, connectionsPerPool, (row) =>
          stage.run(subject, query, { tenant, row }),
        )
      }
      if (counting === null) continue
      await settle(counting.proxy)
      for (const clients of dimensions.clients) {
        const counts: number[] = []
        for (let counted = 0; counted < countings; counted += 1) {
          const runs = Array.from({ length: countedRuns * clients }, () => undefined)
          const before = counting.proxy.trips()
          await forEachConcurrently(runs, clients, () => stage.run(subject, query))
          counts.push((counting.proxy.trips() - before) / runs.length)
        }
        counting.trips.set(`${subject} ${query} ${clients}`, Math.min(...counts))
      }
    }
  }
}

/** Connections that were asked for, and for which nobody waits any more, may still be opening. */
async function settle(proxy: DelayProxy): Promise<void> {
  let before = -1
  for (let waits = 0; waits < settlingWaitsMax && before !== proxy.trips(); waits += 1) {
    before = proxy.trips()
    await sleep(settlingMs)
  }
}

function measuredSubjects(dimensions: QueryDimensions): SubjectName[] {
  return [...new Set<SubjectName>(['raw', ...dimensions.subjects])]
}

/** The slices of one combination, by subject, in the order of the rounds. */
interface Combination {
  readonly query: QueryName
  readonly network: NetworkName
  readonly clients: number
  readonly slices: ReadonlyMap<SubjectName, Slice[]>
}

async function measure(
  stages: Partial<Record<NetworkName, Stage>>,
  { dimensions, rounds, sliceMs, signal, onProgress }: QueryBenchOptions,
): Promise<Combination[]> {
  const subjects = measuredSubjects(dimensions)
  const combinations = dimensions.networks.flatMap((network) =>
    dimensions.queries.flatMap((query) =>
      dimensions.clients.map((clients) => {
        const slices = new Map(subjects.map((subject): [SubjectName, Slice[]] => [subject, []]))
        return { network, query, clients, slices }
      }),
    ),
  )
  for (let round = 0; round < rounds; round += 1) {
    onProgress(`round ${round + 1} of ${rounds}`)
    for (const { network, query, clients, slices } of combinations) {
      const stage = stages[network]
      if (stage === undefined) throw new RangeError(`nothing is set up for ${network}`)
      for (let turn = 0; turn < subjects.length; turn += 1) {
        const subject = subjects[(round + turn) % subjects.length] ?? 'raw'
        const operation = () => stage.run(subject, query)
        const slice = await measureSlice(operation, { clients, durationMs: sliceMs, signal })
        slices.get(subject)?.push(slice)
      }
    }
  }
  return combinations
}

function summarize(
  combinations: readonly Combination[],
  trips: ReadonlyMap<string, number>,
  wrongTenants: (network: NetworkName, subject: SubjectName, query: QueryName) => number,
): { noise: number; rows: QueryRow[] } {
  const spreads: number[] = []
  const rows = combinations.flatMap(({ query, network, clients, slices }) => {
    const raw = (slices.get('raw') ?? []).map(({ msPerQuery }) => msPerQuery)
    spreads.push(relativeSpread(raw))
    return [...slices].map(([subject, own]): QueryRow => {
      const ratios = own.map(({ msPerQuery }, round) => msPerQuery / (raw[round] ?? Number.NaN))
      return {
        subject,
        query,
        network,
        clients,
        costRatio: rounded(median(ratios)),
        roundTrips: trips.get(`${subject} ${query} ${clients}`) ?? Number.NaN,
        wrongTenant: wrongTenants(network, subject, query),
        p50Ms: rounded(median(own.map(({ p50Ms }) => p50Ms))),
        qps: Math.round(median(own.map(({ msPerQuery }) => 1000 / msPerQuery))),
      }
    })
  })
  return { noise: rounded(median(spreads)), rows }
}
