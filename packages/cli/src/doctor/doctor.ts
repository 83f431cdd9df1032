import { isatty } from 'node:tty'
import { createTenancy, loadConfig } from '@quickscale/tenancy'
import type { Command } from 'commander'
import { exitCodes } from '../exit-codes.ts'
import { explain } from '../explain.ts'
import { createProgressBar } from '../progress-bar.ts'
import { formatDoctorReport } from './format.ts'

interface DoctorFlags {
  readonly json?: boolean
  readonly config: string
}

/** Adds `quickscale doctor`; `end` is told the exit code. */
export function addDoctorCommand(program: Command, end: (exitCode: number) => void): void {
  program
    .command('doctor')
    .summary('examine an installation: server, rights, keys, gates, walls, fences')
    .description(
      `Reads quickscale.config.ts (or .js, .mjs, .json), connects as the administrator that it names, and
examines the server, every database and every tenant's place. Changes nothing.`,
    )
    .option('--json', 'one JSON object on standard output')
    .option('--config <directory>', 'where quickscale.config.ts is', '.')
    .addHelpText(
      'after',
      `
QUICKSCALE_DATABASE_URL and QUICKSCALE_MASTER_KEY replace what the file says.

Exit codes
  0  no error; warnings and notes are weaknesses that are known
  1  a wall is open, or a tenant cannot be served
  2  nothing could be examined: configuration, installation or server`,
    )
    .action(async (flags: DoctorFlags) => {
      end(await examine(flags))
    })
}

async function examine({ json = false, config: cwd }: DoctorFlags): Promise<number> {
  const bar = createProgressBar(process.stderr)
  try {
    const tenancy = await createTenancy(
      // An examination changes nothing.
      await loadConfig({ cwd, overrides: { refillWarmDatabases: false } }),
    )
    try {
      const report = await tenancy.doctor({ onProgress: (where) => bar.show({ step: where }) })
      bar.end()
      process.stdout.write(
        `${json ? JSON.stringify(report) : formatDoctorReport(report, isatty(process.stdout.fd))}\n`,
      )
      return report.ok ? exitCodes.well : exitCodes.differs
    } finally {
      await tenancy.close()
    }
  } catch (error) {
    bar.end()
    return explain(error, json)
  }
}
