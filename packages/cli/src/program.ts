import { readFileSync } from 'node:fs'
import { isatty } from 'node:tty'
import { QuickScaleError } from '@quickscale/tenancy'
import { Command, CommanderError } from 'commander'
import { checkDump } from './check/check.ts'
import { addDoctorCommand } from './doctor/doctor.ts'
import { exitCodes } from './exit-codes.ts'
import { explain } from './explain.ts'
import { formatReport } from './format.ts'
import { addMoveCommand } from './moves/command.ts'
import { createProgressBar } from './progress-bar.ts'
import { addServerCommand } from './servers/command.ts'
import { addRebalanceCommand } from './servers/rebalance.ts'

interface CheckFlags {
  readonly json?: boolean
  readonly server?: string
}

/** Runs the command line and returns the exit code. */
export async function run(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.well
  const program = new Command('quickscale')
    .description('Multi-tenancy for PostgreSQL: rows, schemas and databases in one application.')
    .version(readVersion())
    .exitOverride()
    // `move` and the commands below it have options of the same names.
    .enablePositionalOptions()
    .showHelpAfterError()
  program
    .command('check')
    .summary('prove that a database can be split between tenants without loss')
    .description(
      `Loads a psql script or a plain pg_dump as it is, and as two tenants with the same ids under each
strategy (rls, schema, database), on a throw-away PostgreSQL server, and compares: rows, keys,
checks, views, sequences, and whether the planner still uses each index.`,
    )
    .argument('<script>', 'a psql script, such as pg_dump writes in its plain format')
    .option('--json', 'one JSON object on standard output')
    .option(
      '--server <url>',
      "a superuser's URL of a server to use instead; what is made there is dropped again",
    )
    .addHelpText(
      'after',
      `
The script's SQL runs as superuser, as it would with psql: check only what you would restore.

Exit codes
  0  nothing differs; what is refused is explained and is no table
  1  something differs or is lost
  2  the script or the command line cannot be used
  130  interrupted`,
    )
    .action(async (script: string, flags: CheckFlags) => {
      exitCode = await check(script, flags)
    })
  const end = (code: number) => {
    exitCode = code
  }
  addDoctorCommand(program, end)
  addMoveCommand(program, end)
  addServerCommand(program, end)
  addRebalanceCommand(program, end)
  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return exitCodes.well
    if (args.includes('--json')) process.stdout.write(`${refusalOf(error)}\n`)
    return exitCodes.unusable
  }
  return exitCode
}

/** For whoever reads JSON; people have been told on standard error. */
function refusalOf({ message }: CommanderError): string {
  const refusal = new QuickScaleError('COMMAND_INVALID', { reason: message.replace(/^error: /, '') })
  const { code, remedy } = refusal
  return JSON.stringify({ ok: false, error: { code, message: refusal.message, remedy } })
}

async function check(path: string, { json = false, server }: CheckFlags): Promise<number> {
  const abort = new AbortController()
  const onSignal = () => abort.abort()
  // A terminal and npm may both deliver the same Ctrl-C: the handlers stay, and only the first counts.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  const bar = createProgressBar(process.stderr, path)
  try {
    const report = await checkDump({ path, serverUrl: server, signal: abort.signal, onProgress: bar.show })
    bar.end()
    process.stdout.write(
      `${json ? JSON.stringify(report) : formatReport(report, isatty(process.stdout.fd))}\n`,
    )
    return report.ok ? exitCodes.well : exitCodes.differs
  } catch (error) {
    bar.end()
    if (abort.signal.aborted) {
      console.error('Interrupted; everything that was made is gone.')
      return exitCodes.interrupted
    }
    return explain(error, json)
  }
}

function readVersion(): string {
  const { version }: { version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  )
  return version
}
