/** Whether a point query costs more because many tenants share the tables: 10 and all of them take turns. */
import { createRandom } from '../packages/server/src/demo/random.ts'
import type { RunServer } from '../test/support/server.ts'
import {
  asAdministrator,
  type BenchInstallation,
  type BenchTenant,
  connectionsPerPool,
  install,
} from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { forEachConcurrently, measureSlice, type Slice } from './measure.ts'
import { repeatForever } from './stage.ts'
import { median, relativeSpread, rounded } from './statistics.ts'
import { runScoped } from './subjects.ts'
import { defineQueries, fillAllStatement } from './workload.ts'

export interface TenantsBenchOptions {
  readonly rounds: number
  /** How long each number of tenants is timed per round. */
  readonly sliceMs: number
  readonly tenants: number
  readonly rowsPerTenant: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

interface TenantsRow {
  /** From how many tenants the queries draw theirs. */
  readonly tenants: number
  readonly clients: number
  readonly p50Ms: number
  readonly qps: number
}

export interface TenantsReport {
  readonly name: 'tenants'
  readonly machine: Machine
  readonly rounds: number
  /** Relative interquartile range of the few tenants' time per query over the rounds. */
  readonly noise: number
  readonly rows: readonly TenantsRow[]
  /** Median over the rounds of the time per query with all tenants, divided by that with ten in the same round. */
  readonly ratio: number
  readonly provisioning: { readonly tenants: number; readonly seconds: number }
}

const fewTenants = 10
const clients = 8
const targetsDrawn = 100_000

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runTenantsBench(
  server: RunServer,
  options: TenantsBenchOptions,
): Promise<TenantsReport> {
  const machine = await describeMachine(server)
  const startedMs = performance.now()
  const installation = await install(
    server.url,
    { rls: options.tenants, schema: 0, database: 0 },
    (done, total) => {
      if (done % 100 === 0) options.onProgress(`${done} of ${total} tenants`)
    },
  )
  try {
    const seconds = rounded((performance.now() - startedMs) / 1000)
    const provisioning = { tenants: options.tenants, seconds }
    options.onProgress('writing the rows')
    await fill(installation, options.rowsPerTenant)
    const measured = await measure(installation, options)
    return { name: 'tenants', machine, rounds: options.rounds, ...summarize(measured), provisioning }
  } finally {
    await installation.drop()
  }
}

/** As the administrator: ten thousand statements would take longer than the measurement. */
async function fill(installation: BenchInstallation, rowsPerTenant: number): Promise<void> {
  const ids = installation.tenants.rls.map(({ id }) => id)
  await asAdministrator(await installation.urlOf('rls'), (client) =>
    client.query(fillAllStatement, [rowsPerTenant, ids]),
  )
  await installation.vacuum()
}

interface Measured {
  readonly tenants: number
  readonly slices: Slice[]
}

async function measure(installation: BenchInstallation, options: TenantsBenchOptions): Promise<Measured[]> {
  const { rounds, sliceMs, signal, onProgress } = options
  const { tenancy } = installation
  const { point } = defineQueries(options.rowsPerTenant)
  const random = createRandom('tenants')
  const run = async (tenant: BenchTenant, row: number) => {
    const target = { tenant, row }
    point.check(await runScoped(tenancy, point, target), target)
  }
  const subjects = [fewTenants, options.tenants].map((count) => {
    const candidates = installation.tenants.rls.slice(0, count)
    const drawn = Array.from({ length: targetsDrawn }, () => ({
      tenant: random.pick(candidates),
      row: random.below(options.rowsPerTenant),
    }))
    return { tenants: count, draw: repeatForever(drawn), slices: [] as Slice[] }
  })
  onProgress('warming up')
  await forEachConcurrently(installation.tenants.rls, connectionsPerPool, (tenant) => run(tenant, 0))
  for (let round = 0; round < rounds; round += 1) {
    onProgress(`round ${round + 1} of ${rounds}`)
    const order = round % 2 === 0 ? subjects : subjects.toReversed()
    for (const { draw, slices } of order) {
      const operation = () => {
        const { tenant, row } = draw()
        return run(tenant, row)
      }
      slices.push(await measureSlice(operation, { clients, durationMs: sliceMs, signal }))
    }
  }
  return subjects
}

function summarize(measured: readonly Measured[]): Pick<TenantsReport, 'noise' | 'rows' | 'ratio'> {
  const times = measured.map(({ slices }) => slices.map(({ msPerQuery }) => msPerQuery))
  const [few = [], all = []] = times
  const rows = measured.map(({ tenants, slices }) => ({
    tenants,
    clients,
    p50Ms: rounded(median(slices.map(({ p50Ms }) => p50Ms))),
    qps: Math.round(median(slices.map(({ msPerQuery }) => 1000 / msPerQuery))),
  }))
  const ratios = all.map((ms, round) => ms / (few[round] ?? Number.NaN))
  return { noise: rounded(relativeSpread(few)), rows, ratio: rounded(median(ratios)) }
}
