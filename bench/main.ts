import { parseArgs } from 'node:util'
import { openServer } from '../test/support/server.ts'
import { runHttpBench } from './http.ts'
import { runMoveBench } from './move.ts'
import { PeersMissing, peerNames } from './peer.ts'
import { runProvisionBench } from './provision.ts'
import { allDimensions, type QueryDimensions, runQueryBench } from './query.ts'
import { createProgress, formatReport } from './report.ts'
import { runSearchBench } from './search.ts'
import { runSilosBench } from './silos.ts'
import { runTenantsBench } from './tenants.ts'

const usage = `Usage: npm run -s bench -- <name> [options]

Benchmarks
  query      what a query costs under each strategy, compared with plain tables
  provision  how long making a tenant takes, compared with the bare DDL
  search     what searches by each kind of index cost, compared with the same tables without row security
  tenants    whether 10,000 tenants in shared tables cost more than 10
  move       what moving tenants costs those who write to them, and whether anything is lost
  http       what requests to the application cost, compared with the same routes without tenancy; what a
             tenant notices of another one that floods (neighbourP99Ratio), and of how that begins (onsetMs)
  silos      whether 1,000 databases get along with 50 connections, one of them flooded

Options
  --json          one JSON object on stdout instead of a table
  --rounds <n>    how often everything is timed
  --only <words>  query: a comma-separated choice of raw rls schema database sequential-guc,
                  point page insert, loopback 1ms, 1 8; what is not mentioned is not restricted.
                  And of other libraries, after npm ci --prefix bench/peers: drizzle prisma better-tenant nile
  --cutovers <n>  move: how many moves of small tenants
  --rate <n>      move: writes per second to the tenant, and as many to others
  --share <n>     move: part of the time that the copy uses, in percent
  --silos <n>     silos: how many databases
  --rows <n>      search: how many rows the tenant of each strategy has; move: of the large tenant
  --quick         small and short: shows that it works, the numbers mean nothing
  --help

Uses the server of QUICKSCALE_DATABASE_URL, or starts one for the run. Drops what it has made.`

const roundsMax = 1_000
const silosMax = 10_000
const rowsMax = 100_000_000
const sizes = {
  usual: {
    query: {
      rounds: 33,
      sliceMs: 40,
      tenants: { rls: 20, schema: 5, database: 1 },
      rowsPerTenant: 500,
      warmUpRuns: 8,
      countedRuns: 25,
    },
    provision: { rounds: 41 },
    search: { rows: 1_000_000, rounds: 15 },
    tenants: { rounds: 61, sliceMs: 250, tenants: 10_000, rowsPerTenant: 10 },
    http: {
      rounds: 35,
      sliceMs: 150,
      tenants: { rls: 4, schema: 2, database: 1 },
      contactsPerTenant: 500,
      flood: { turns: 4, turnMs: 10_000, onsets: 15 },
    },
    silos: { silos: 1_000, loadMs: 120_000 },
    move: { cutovers: 100, rows: 1_000_000, perSecond: 200 },
  },
  quick: {
    query: {
      rounds: 1,
      sliceMs: 10,
      tenants: { rls: 2, schema: 2, database: 1 },
      rowsPerTenant: 25,
      warmUpRuns: 2,
      countedRuns: 5,
    },
    provision: { rounds: 2 },
    search: { rows: 20_000, rounds: 1 },
    tenants: { rounds: 1, sliceMs: 10, tenants: 20, rowsPerTenant: 5 },
    http: {
      rounds: 1,
      sliceMs: 20,
      tenants: { rls: 2, schema: 1, database: 1 },
      contactsPerTenant: 30,
      flood: { turns: 1, turnMs: 100, onsets: 1 },
    },
    silos: { silos: 3, loadMs: 500 },
    move: { cutovers: 1, rows: 5_000, perSecond: 50 },
  },
}

const benchmarks = ['query', 'provision', 'search', 'tenants', 'silos', 'move', 'http'] as const

/** A mistake in the command line. */
class UsageError extends Error {}

function readCommand(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      silos: { type: 'string' },
      rows: { type: 'string' },
      cutovers: { type: 'string' },
      rate: { type: 'string' },
      share: { type: 'string' },
      only: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const [name, ...others] = positionals
  const benchmark = benchmarks.find((known) => known === name)
  if (!values.help && (others.length > 0 || benchmark === undefined)) {
    throw new UsageError(name === undefined ? 'Which benchmark?' : `No benchmark ${positionals.join(' ')}`)
  }
  const rounds = readNumber('rounds', values.rounds, 1, roundsMax)
  const silos = readNumber('silos', values.silos, 2, silosMax)
  const rows = readNumber('rows', values.rows, 1_000, rowsMax)
  const move = {
    cutovers: readNumber('cutovers', values.cutovers, 1, roundsMax),
    perSecond: readNumber('rate', values.rate, 1, 10_000),
    copyShare: readShare(values.share),
  }
  return { ...values, move, name: benchmark ?? 'query', rounds, silos, rows, dimensions: choose(values.only) }
}

function readNumber(option: string, text: string | undefined, min: number, max: number): number | null {
  if (text === undefined) return null
  const value = Number(text)
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageError(`--${option} takes a whole number from ${min} to ${max}`)
}

function readShare(text: string | undefined): number | null {
  const percent = readNumber('share', text, 1, 100)
  return percent === null ? null : percent / 100
}

/** Each word belongs to one dimension only, so that its place need not be named. */
function choose(only: string): QueryDimensions {
  const words = new Set(only.split(',').filter((word) => word !== ''))
  const known = new Set([...Object.values(allDimensions).flat().map(String), ...peerNames])
  for (const word of words) if (!known.has(word)) throw new UsageError(`--only does not know ${word}`)
  const chosen = <Value>(values: readonly Value[]) => {
    const kept = values.filter((value) => words.has(String(value)))
    return kept.length > 0 ? kept : values
  }
  return {
    subjects: [...chosen(allDimensions.subjects), ...peerNames.filter((name) => words.has(name))],
    queries: chosen(allDimensions.queries),
    networks: chosen(allDimensions.networks),
    clients: chosen(allDimensions.clients),
  }
}

/** Without what was not said. */
function given<Options extends object>(
  options: Options,
): { [Key in keyof Options]?: NonNullable<Options[Key]> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null)) as never
}

async function run(command: ReturnType<typeof readCommand>, signal: AbortSignal): Promise<void> {
  const progress = createProgress(process.stderr)
  const chosen = command.quick ? sizes.quick : sizes.usual
  const common = { signal, onProgress: progress.say }
  const rounds = command.rounds === null ? {} : { rounds: command.rounds }
  const silos = command.silos === null ? {} : { silos: command.silos }
  const rows = command.rows === null ? {} : { rows: command.rows }
  const { dimensions } = command
  const server = await openServer()
  const measure = {
    query: () => runQueryBench(server, { ...chosen.query, ...common, ...rounds, dimensions }),
    provision: () => runProvisionBench(server, { ...chosen.provision, ...common, ...rounds }),
    search: () => runSearchBench(server, { ...chosen.search, ...common, ...rounds, ...rows }),
    tenants: () => runTenantsBench(server, { ...chosen.tenants, ...common, ...rounds }),
    move: () => runMoveBench(server, { ...chosen.move, ...common, ...rows, ...given(command.move) }),
    http: () => runHttpBench(server, { ...chosen.http, ...common, ...rounds }),
    silos: () => runSilosBench(server, { ...chosen.silos, ...common, ...silos }),
  }
  try {
    const report = await measure[command.name]()
    progress.end()
    console.log(command.json ? JSON.stringify(report) : formatReport(report))
  } finally {
    progress.end()
    await server.close()
  }
}

const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort())

try {
  const command = readCommand(process.argv.slice(2))
  if (command.help) console.log(usage)
  else await run(command, abort.signal)
} catch (error) {
  const isMistake = error instanceof UsageError || (error instanceof TypeError && 'code' in error)
  // A terminal's Ctrl-C reaches the embedded server too: whatever fails after it is of no interest.
  if (abort.signal.aborted) console.error('Interrupted')
  else if (error instanceof PeersMissing) console.error(error.message)
  else console.error(isMistake ? `${error.message}\n\n${usage}` : error)
  process.exitCode = abort.signal.aborted ? 130 : isMistake ? 2 : 1
}
