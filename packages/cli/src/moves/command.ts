import type { DriveOptions } from '@quickscale/tenancy'
import { type Command, Option } from 'commander'
import { parseShare, parseWindow } from './arguments.ts'
import { type MoveFlags, withMoves } from './session.ts'
import { list, outcomeOf, resume, type StartFlags, show, start, verify } from './work.ts'

/** Adds `quickscale move` and what is below it; `end` is told the exit code. */
export function addMoveCommand(program: Command, end: (exitCode: number) => void): void {
  const move = working(program.command('move'))
    .summary('move a tenant to another isolation, database or server while it works')
    .description(
      'Moves a tenant while it works, and ends when it lives at its destination. Its statements wait for some ' +
        'milliseconds meanwhile; no write is lost. Where it goes: --to, or the strategy of --plan; --server.',
    )
    .argument('<tenant>', 'slug or uuid; a slug that is also a command below only by its uuid')
    .addOption(new Option('--to <strategy>', 'how it is kept apart').choices(['schema', 'database', 'rls']))
    .option('--plan <plan>', 'the plan it gets when it arrives; its rules decide where')
    .option(
      '--server <name>',
      'a server of the configuration; default: the least loaded that the rules allow',
    )
    .option('--rollback-window <time>', 'how long the way back stays open: 90s, 30m, 1h, 2d, 0', parseWindow)
    .option('--dry-run', 'only say what it would do, and what is in its way')
    .enablePositionalOptions()
    .addHelpText('after', startHelp)
    .action(async (tenant: string, flags: StartFlags, command: Command) => {
      if (flags.to === undefined && flags.plan === undefined && flags.server === undefined) {
        command.error('error: say where the tenant is to go: --to, --plan or --server')
      }
      end(await withMoves(flags, (session) => start(session, tenant, flags)))
    })
  addListing(move, end)
  addRequests(move, end)
}

const startHelp = `
Ctrl-C stops the work where it is: quickscale move resume goes on with it. Whoever is to finish moves whose
way back is over calls that too, now and then.

Exit codes
  0  it is done; with --dry-run: it can be
  1  it is refused, something is in its way, or it does not go on
  2  no such tenant, move, plan or server; configuration, installation or command line cannot be used
  130  interrupted`

function common(command: Command): Command {
  return command
    .option('--json', 'one JSON object on standard output')
    .option('--config <directory>', 'where quickscale.config.ts is', '.')
}

/** What moves a tenant, or removes what is left of a move. */
function working(command: Command): Command {
  return common(command)
    .option('--share <part>', 'part of the time that it uses, up to 1; less disturbs less', parseShare)
    .option('--watch', 'progress on standard error also where that is no terminal')
}

function addListing(move: Command, end: (exitCode: number) => void): void {
  common(move.command('list'))
    .summary('moves, the newest first')
    .description('Lists moves, the newest first, 1,000 at most.')
    .option('--tenant <tenant>', 'of this tenant')
    .option('--unfinished', 'that are under way, or whose way back is open')
    .action(async (flags: MoveFlags & { readonly tenant?: string; readonly unfinished?: boolean }) => {
      end(await withMoves(flags, ({ tenancy }) => list(tenancy, flags)))
    })
  common(move.command('show'))
    .summary('how far a move is')
    .description("Shows one move: a tenant's present or last one, or the one of an id.")
    .argument('<move>', 'id of a move, or a tenant')
    .option(
      '--watch',
      'until it is finished, or waits with its way back open, or does not go on (then exit code 1)',
    )
    .action(async (key: string, flags: MoveFlags) => {
      end(await withMoves(flags, (session) => show(session, key, flags.watch ?? false)))
    })
}

const requests = {
  cancel: 'take a move back that has not been switched; nothing is left at its target',
  rollback: 'move the tenant back, with all that it wrote since, while the way back is open',
  finish: 'close the way back, and take away what is left at the source',
  abandon: 'end a move one of whose servers is gone for good, where the tenant does not live there',
} as const

function addRequests(move: Command, end: (exitCode: number) => void): void {
  for (const request of ['cancel', 'rollback', 'finish', 'abandon'] as const) {
    const command = (request === 'abandon' ? common : working)(move.command(request))
    if (request === 'finish') {
      command.option('--accept-differences', 'even if both places differed at the switch')
    }
    command
      .summary(requests[request])
      .description(`Asks for it and does it, also when another process has the move: ${requests[request]}.`)
      .argument('<move>', 'id of a move, or a tenant')
      .action(async (key: string, flags: MoveFlags & Pick<DriveOptions, 'acceptDifferences'>) => {
        const { acceptDifferences = false } = flags
        end(
          await withMoves(flags, async ({ tenancy, drive }) =>
            outcomeOf(tenancy, await tenancy.moves[request](key, { ...drive, acceptDifferences })),
          ),
        )
      })
  }
  common(move.command('verify'))
    .summary('compare all rows of a tenant that has arrived with the place it came from')
    .description(
      'Compares all rows of a tenant that has arrived with those of the place it came from, while the way back is open: ' +
        'all that was written since is brought there first. Exit code 1 when they differ.',
    )
    .argument('<move>', 'id of a move, or a tenant')
    .action(async (key: string, flags: MoveFlags) => {
      end(await withMoves(flags, (session) => verify(session, key)))
    })
  working(move.command('resume'))
    .summary('go on with what was interrupted, and finish moves whose way back is over')
    .description('Goes on with every move that was interrupted, and finishes those whose way back is over.')
    .action(async (flags: MoveFlags) => {
      end(await withMoves(flags, resume))
    })
}
