import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createProgress } from '../bench/report.ts'
import { type Report, runMoveChaos } from './suite.ts'

const usage = `Usage: npm run -s chaos -- move [options]

Moves a tenant again and again while its clients write, and has a fault strike each move: kill -9 of the mover in every state that
is written down, ended connections, cut networks, a catalog outage, kill -9 of either server. Another process finishes
the move, and a checker of its own compares. Exits with 1 when a run ended neither moved nor back, or anything was lost,
doubled, foreign, or left over.

Options
  --runs <n>     how many moves (default 100)
  --seed <text>  the same seed chooses the same faults and destinations
  --json         one JSON object on stdout
  --help

Starts two servers of its own, and removes them.`

const runsMax = 100_000

/** A mistake in the command line. */
class UsageError extends Error {}

function readCommand(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: '100' },
      seed: { type: 'string', default: randomBytes(4).toString('hex') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (!values.help && positionals.join(' ') !== 'move') throw new UsageError('What is to be struck? move')
  const runs = Number(values.runs)
  if (!(Number.isInteger(runs) && runs >= 1 && runs <= runsMax)) {
    throw new UsageError(`--runs takes a whole number from 1 to ${runsMax}`)
  }
  return { ...values, runs }
}

function isSound({ broken, leftovers, lost, doubled, foreign, errors }: Report): boolean {
  return broken + leftovers + lost + doubled + foreign + errors === 0
}

async function run(
  { seed, runs, json }: ReturnType<typeof readCommand>,
  signal: AbortSignal,
): Promise<number> {
  const progress = createProgress(process.stderr)
  console.error(`seed ${seed}`)
  try {
    const report = await runMoveChaos({
      seed,
      runs,
      signal,
      // Without a terminal every step is a line: a run takes a while.
      onProgress: process.stderr.isTTY === true ? progress.say : (what) => console.error(what),
      onFinding: (what) => {
        progress.end()
        console.error(what)
      },
    })
    progress.end()
    console.log(json ? JSON.stringify(report) : Object.entries(report).map(toLine).join('\n'))
    return isSound(report) ? 0 : 1
  } finally {
    progress.end()
  }
}

function toLine([name, value]: [string, unknown]): string {
  return `${name.padEnd(14)}${typeof value === 'object' ? JSON.stringify(value) : value}`
}

const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort())

try {
  const command = readCommand(process.argv.slice(2))
  if (command.help) console.log(usage)
  else process.exitCode = await run(command, abort.signal)
} catch (error) {
  const isMistake = error instanceof UsageError || (error instanceof TypeError && 'code' in error)
  if (abort.signal.aborted) console.error('Interrupted')
  else console.error(isMistake ? `${error.message}\n\n${usage}` : error)
  process.exitCode = abort.signal.aborted ? 130 : isMistake ? 2 : 1
}
