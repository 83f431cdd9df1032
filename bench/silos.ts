/** Whether very many databases of one server get along with few connections, while one of them is flooded. */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createRandom } from '../packages/server/src/demo/random.ts'
import type { RunServer } from '../test/support/server.ts'
import { asAdministrator, type BenchInstallation, type BenchTenant, install } from './installation.ts'
import { describeMachine, type Machine } from './machine.ts'
import { quantile, rounded } from './statistics.ts'

export interface SilosBenchOptions {
  readonly silos: number
  readonly loadMs: number
  readonly signal: AbortSignal
  onProgress(message: string): void
}

export interface SilosReport {
  readonly name: 'silos'
  readonly machine: Machine
  /** Databases of one tenant each. */
  readonly silos: number
  /** Connections allowed, all databases together. */
  readonly budget: number
  /** Statements answered. */
  readonly answered: number
  readonly errors: number
  /** Databases that were asked under load and did not answer before its end. */
  readonly starved: number
  /** Memory in use, garbage collected, when each silo had been asked once, and at the end. */
  readonly heldStartMb: number
  readonly heldEndMb: number
  /** What this process had of the machine then. */
  readonly rssStartMb: number
  readonly rssEndMb: number
  /** Most connections seen at the server. */
  readonly connectionsMax: number
  /** Time until the answer, of all silos but the flooded one. */
  readonly p50Ms: number
  readonly p99Ms: number
}

const budget = 50
/** In a closed loop: each draws a silo, asks it, and draws the next when it has the answer. */
const clients = 100
/** Beside them, as many clients that ask one silo only. */
const floodClients = 100
const statement = {
  name: 'whose',
  text: 'select quickscale.tenant_id() as tenant_id, count(*) as contacts from contact',
}

/** Measures, prints nothing, and leaves nothing on the server. */
export async function runSilosBench(server: RunServer, options: SilosBenchOptions): Promise<SilosReport> {
  const { silos, onProgress } = options
  const machine = await describeMachine(server)
  const installation = await install(
    server.url,
    { rls: 0, schema: 0, database: silos },
    (done, total) => {
      options.signal.throwIfAborted()
      if (done % 10 === 0) onProgress(`${done} of ${total} silos`)
    },
    { perServer: budget, idleMs: 30_000, waitMs: 30_000 },
  )
  try {
    return { name: 'silos', machine, silos, budget, ...(await load(server, installation, options)) }
  } finally {
    onProgress('dropping the databases')
    await installation.drop()
  }
}

/** What the clients have seen. */
class Tally {
  answered = 0
  errors = 0
  readonly latenciesMs: number[] = []
  readonly unanswered = new Set<string>()

  async ask(installation: BenchInstallation, tenant: BenchTenant): Promise<number> {
    const askedMs = performance.now()
    try {
      const { rows } = await installation.tenancy.tenant(tenant.slug).query(statement)
      if (rows[0]?.tenant_id !== tenant.id)
        throw new Error(`${tenant.slug} was answered by ${rows[0]?.tenant_id}`)
      this.answered += 1
      this.unanswered.delete(tenant.slug)
    } catch (error) {
      this.errors += 1
      if (this.errors === 1) console.error(error)
    }
    return performance.now() - askedMs
  }
}

async function load(server: RunServer, installation: BenchInstallation, options: SilosBenchOptions) {
  const { loadMs, signal, onProgress } = options
  const [flooded, ...others] = installation.tenants.database
  if (flooded === undefined || others.length === 0) throw new RangeError('at least two silos are needed')
  const random = createRandom('silos')
  const tally = new Tally()
  const repeat = async (count: number, work: () => Promise<void>, until: () => boolean) => {
    const client = async () => {
      while (!until() && !signal.aborted) await work()
    }
    await Promise.all(Array.from({ length: count }, client))
  }
  const connections = watchConnections(server, installation.name)

  onProgress('asking each silo once')
  const first = [...installation.tenants.database]
  await repeat(
    clients,
    async () => {
      const tenant = first.pop()
      if (tenant !== undefined) await tally.ask(installation, tenant)
    },
    () => first.length === 0,
  )
  const start = memoryMb()

  onProgress('load')
  const deadlineMs = performance.now() + loadMs
  const over = () => performance.now() >= deadlineMs
  // Everybody's turn comes before anybody is drawn a second time.
  let round: BenchTenant[] = []
  const draw = () => {
    if (round.length === 0) round = others.toSorted(() => random.below(2) - 0.5)
    return round.pop() ?? flooded
  }
  await Promise.all([
    repeat(floodClients, async () => void (await tally.ask(installation, flooded)), over),
    repeat(
      clients,
      async () => {
        const tenant = draw()
        tally.unanswered.add(tenant.slug)
        tally.latenciesMs.push(await tally.ask(installation, tenant))
      },
      over,
    ),
  ])
  signal.throwIfAborted()
  const end = memoryMb()
  return {
    answered: tally.answered,
    errors: tally.errors,
    starved: tally.unanswered.size,
    heldStartMb: start.held,
    heldEndMb: end.held,
    rssStartMb: start.resident,
    rssEndMb: end.resident,
    connectionsMax: await connections.stop(),
    p50Ms: rounded(quantile(tally.latenciesMs, 0.5)),
    p99Ms: rounded(quantile(tally.latenciesMs, 0.99)),
  }
}

/** What the process has of the machine, and how much of it is in use once what nobody needs any more has been collected. */
function memoryMb(): { readonly resident: number; readonly held: number } {
  const resident = process.memoryUsage().rss
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return { resident: Math.round(resident / 2 ** 20), held: Math.round((heapUsed + external) / 2 ** 20) }
}

/** Node has it without a flag of its own in a context that was made after the flag of V8. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

/** Counts the connections to the installation's silos, as the server sees them, until stopped. */
function watchConnections(server: RunServer, installation: string): { stop(): Promise<number> } {
  let watching = true
  const watched = asAdministrator(server.url, async (client) => {
    let most = 0
    while (watching) {
      const { rows } = await client.query(
        `select count(*)::integer as count from pg_stat_activity
          where application_name = 'quickscale' and starts_with(datname, $1)`,
        [installation],
      )
      most = Math.max(most, rows[0].count)
      await sleep(50)
    }
    return most
  })
  return {
    stop: () => {
      watching = false
      return watched
    },
  }
}
