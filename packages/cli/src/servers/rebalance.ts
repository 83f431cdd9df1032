import { createInterface } from 'node:readline/promises'
import { QuickScaleError, type RebalancePlan, type RebalanceReport } from '@quickscale/tenancy'
import type { Command } from 'commander'
import { exitCodes } from '../exit-codes.ts'
import { count } from '../format.ts'
import { parseShare, parseWindow } from '../moves/arguments.ts'
import { formatBytes, formatProgress } from '../moves/progress.ts'
import { type MoveFlags, type MoveSession, type Outcome, withMoves } from '../moves/session.ts'
import { parseMoves, parsePercent } from './arguments.ts'

interface RebalanceFlags extends MoveFlags {
  readonly plan?: boolean
  readonly yes?: boolean
  readonly threshold?: number
  readonly maxMoves?: number
  readonly rollbackWindow?: number
}

/** Adds `quickscale rebalance`; `end` is told the exit code. */
export function addRebalanceCommand(program: Command, end: (exitCode: number) => void): void {
  program
    .command('rebalance')
    .summary('move tenants so that load is spread over servers and shared databases')
    .description(
      'Proposes as few moves as possible that spread load, and carries them out when that is confirmed. No rule of placement is ' +
        'broken, and each tenant keeps its strategy.',
    )
    .option('--plan', 'only propose; changes nothing')
    .option('--yes', 'carry it out without asking')
    .option(
      '--threshold <percent>',
      'how far above the average a load may be, 5 to 1000; default 20',
      parsePercent,
    )
    .option('--max-moves <number>', 'at most so many moves, up to 1000; default 10', parseMoves)
    .option(
      '--rollback-window <time>',
      'how long the way back of each stays open: 30m, 1h, 0; default 0',
      parseWindow,
    )
    .option('--share <part>', 'part of the time that a copy uses, up to 1; less disturbs less', parseShare)
    .option('--watch', 'progress on standard error also where that is no terminal')
    .option('--json', 'one JSON object on standard output')
    .option('--config <directory>', 'where quickscale.config.ts is', '.')
    .addHelpText('after', help)
    .action(async (flags: RebalanceFlags, command: Command) => {
      const mayAsk = process.stdin.isTTY === true && process.stderr.isTTY === true && flags.json !== true
      if (flags.plan !== true && flags.yes !== true && !mayAsk) {
        command.error('error: say --plan to see what it would do, or --yes to have it done')
      }
      end(await withMoves(flags, (session) => rebalance(session, flags), interruption))
    })
}

const interruption =
  'Interrupted. No tenant is begun any more; moves under way stay as they are: quickscale move resume goes on with them.'

const help = `
Exit codes
  0  it is done, or there is nothing to do; with --plan: proposed
  1  a tenant could not be moved, and it says why; it was not confirmed
  2  configuration, installation or command line cannot be used
  130  interrupted`

async function rebalance(
  { tenancy, signal, draw }: MoveSession,
  { plan: planOnly, yes, threshold, maxMoves, rollbackWindow, share }: RebalanceFlags,
): Promise<Outcome> {
  const plan = await tenancy.servers.planRebalance({
    ...(threshold === undefined ? {} : { threshold }),
    ...(maxMoves === undefined ? {} : { movesMax: maxMoves }),
  })
  if (planOnly || plan.moves.length === 0) {
    return { exitCode: exitCodes.well, json: { ok: true, ...plan }, text: formatPlan(plan) }
  }
  if (!yes && !(await isConfirmed(plan, signal))) {
    return { exitCode: exitCodes.differs, json: { ok: false, ...plan }, text: 'Nothing was changed.' }
  }
  const report = await tenancy.servers.rebalance(plan, {
    signal,
    ...(rollbackWindow === undefined ? {} : { rollbackWindowMs: rollbackWindow }),
    ...(share === undefined ? {} : { copyShare: share }),
    onProgress: ({ moved, total, tenant, move }) =>
      draw(`${moved} ${tenant} ${move?.state}`, () => {
        const news = move === null ? 'has arrived' : formatProgress(move)
        return `${moved} of ${total} · ${tenant} · ${news}`
      }),
  })
  const ok = report.failed.length === 0
  return {
    exitCode: ok ? exitCodes.well : exitCodes.differs,
    json: { ok, ...plan, ...report, failed: report.failed.map(explainFailure) },
    text: `${formatPlan(plan)}\n${formatReport(report)}`,
  }
}

async function isConfirmed(plan: RebalancePlan, signal: AbortSignal): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await lines.question(`${formatPlan(plan)}\nMove them? [y/N] `, { signal })
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}

function formatPlan({ moves, servers }: RebalancePlan): string {
  const place = (server: string, database: string | null) =>
    `${server}: ${database ?? 'a database of its own'}`
  return [
    ...moves.map(
      ({ tenant, strategy, bytes, load, source, target }) =>
        `${tenant} (${strategy}, ${formatBytes(bytes)}, ${percent(load)} of the load)  ` +
        `${place(source.server, source.database)} → ${place(target.server, target.database)}`,
    ),
    ...servers.map(({ server, weight, before, after }) => {
      const name = weight === 1 ? server : `${server} (weight ${weight})`
      return moves.length === 0
        ? `${name}  ${percent(before)} of the load`
        : `${name}  ${percent(before)} of the load → ${percent(after)}`
    }),
    moves.length === 0 ? 'Nothing to do.' : `${count(moves.length, 'move')}.`,
  ].join('\n')
}

function formatReport({ moved, failed }: RebalanceReport): string {
  return [
    ...failed.map(
      ({ tenant, error }) => `${tenant} stays: ${error instanceof Error ? error.message : String(error)}`,
    ),
    `${count(moved.length, 'tenant')} moved, ${failed.length} not.`,
  ].join('\n')
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`
}

function explainFailure({ tenant, error }: RebalanceReport['failed'][number]): object {
  const { code, remedy } = error instanceof QuickScaleError ? error : {}
  return { tenant, error: { code, message: error instanceof Error ? error.message : String(error), remedy } }
}
