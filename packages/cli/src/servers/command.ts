import type { Command } from 'commander'
import { parseShare, parseWindow } from '../moves/arguments.ts'
import { type MoveFlags, withMoves } from '../moves/session.ts'
import { type DrainFlags, drain, list, remove, show, undrain } from './work.ts'

/** Adds `quickscale server` and what is below it; `end` is told the exit code. */
export function addServerCommand(program: Command, end: (exitCode: number) => void): void {
  const server = program
    .command('server')
    .summary('the servers of an installation: who lives there, and how to empty one')
  common(server.command('list'))
    .summary('servers of the configuration, and how many tenants live on each')
    .action(async (flags: MoveFlags) => {
      end(await withMoves(flags, ({ tenancy }) => list(tenancy)))
    })
  common(server.command('show'))
    .summary('what is known of a server, and its databases')
    .argument('<server>', 'its name in the configuration')
    .action(async (name: string, flags: MoveFlags) => {
      end(await withMoves(flags, ({ tenancy }) => show(tenancy, name)))
    })
  addDrain(server, end)
  common(server.command('remove'))
    .summary('drop the shared databases and the template of a server that is drained and empty')
    .argument('<server>', 'its name in the configuration')
    .action(async (name: string, flags: MoveFlags) => {
      end(await withMoves(flags, ({ tenancy }) => remove(tenancy, name)))
    })
  common(server.command('undrain'))
    .summary('let a server take tenants again; who was moved away stays where it is')
    .argument('<server>', 'its name in the configuration')
    .action(async (name: string, flags: MoveFlags) => {
      end(await withMoves(flags, ({ tenancy }) => undrain(tenancy, name)))
    })
}

function addDrain(server: Command, end: (exitCode: number) => void): void {
  common(server.command('drain'))
    .summary('move everybody away from a server while they work')
    .description(
      'Has a server take no tenants any more, and moves everybody away, each to where the rules of placement allow and under ' +
        'the strategy it has. Repeat it when it was interrupted, or when what was in the way is gone: it goes on.',
    )
    .argument('<server>', 'its name in the configuration')
    .option(
      '--rollback-window <time>',
      'how long the way back of each stays open: 30m, 1h, 0; default 0',
      parseWindow,
    )
    .option('--share <part>', 'part of the time that a copy uses, up to 1; less disturbs less', parseShare)
    .option('--dry-run', 'only say who would go where, and who cannot, and why')
    .option('--watch', 'progress on standard error also where that is no terminal')
    .addHelpText('after', drainHelp)
    .action(async (name: string, flags: DrainFlags) => {
      end(await withMoves(flags, (session) => drain(session, name, flags), interruption(name)))
    })
}

function interruption(name: string): string {
  return [
    'Interrupted. No tenant is begun any more; moves under way stay as they are, and their tenants work on.',
    `quickscale server drain ${name} goes on, quickscale server undrain ${name} has it take tenants again.`,
  ].join('\n')
}

const drainHelp = `
Ctrl-C stops where it is; the same command goes on.

Exit codes
  0  nobody is left there; with --dry-run: nobody would be
  1  somebody is, and it says why
  2  no such server; configuration, installation or command line cannot be used
  130  interrupted`

function common(command: Command): Command {
  return command
    .option('--json', 'one JSON object on standard output')
    .option('--config <directory>', 'where quickscale.config.ts is', '.')
}
