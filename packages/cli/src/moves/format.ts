import type { Move, MovePlace, MovePlan, ResumeReport } from '@quickscale/tenancy'
import { count } from '../format.ts'
import { formatProgress } from './progress.ts'

/** What a move would do, and what is in its way. */
export function formatPlan({ tenant, source, target, plan, size, obstacles }: MovePlan): string {
  return [
    `Tenant  ${tenant.slug}`,
    `From    ${formatPlace(source)}`,
    `To      ${formatPlace(target)}`,
    ...(plan === null ? [] : [`Plan    ${plan}, when it has arrived`]),
    `Size    ${count(size.rows, 'row')} in ${count(size.tables, 'table')}`,
    '',
    ...(obstacles.length === 0
      ? ['Nothing is in its way, and nothing was changed.']
      : ['In its way:', ...obstacles.map((obstacle) => `  - ${obstacle}`)]),
  ].join('\n')
}

/** One move with all that is known of it, and what can be done next. */
export function formatMove(move: Move, slug: string): string {
  return [
    `Move    ${move.id}`,
    `Tenant  ${slug}`,
    `From    ${formatPlace(move.source)}`,
    `To      ${formatPlace(move.target)}`,
    ...(move.plan === null ? [] : [`Plan    ${move.plan}`]),
    `State   ${formatProgress(move)}`,
    `Begun   ${formatTime(move.createdAt)}`,
    ...(move.switchedAt === null ? [] : [`Switched ${formatTime(move.switchedAt)}${lockOf(move)}`]),
    ...auditOf(move),
    ...(move.finishedAt === null ? [] : [`Finished ${formatTime(move.finishedAt)}`]),
    ...(move.request === null ? [] : [`Asked to ${move.request}`]),
    ...(move.failure === null ? [] : [`It failed: ${move.failure}`]),
    ...attemptsOf(move),
    ...nextSteps(move, slug),
  ].join('\n')
}

/** Whether a process that watches moves takes it up. */
function attemptsOf({ stoppedAt, attempts, attemptsLeft, retryAt, finishedAt, state }: Move): string[] {
  if (finishedAt !== null) return []
  const arrives = state === 'switched'
  if (stoppedAt !== null && !arrives) {
    return [`Stopped ${formatTime(stoppedAt)}: nobody takes it up until quickscale move resume`]
  }
  if (attempts === 0) return []
  const tried = `Taken up by itself ${count(attempts, 'time')}`
  if (attemptsLeft === 0 && !arrives) {
    return [`${tried}, and not again: quickscale move resume goes on`]
  }
  return [retryAt === null ? tried : `${tried}; again, should it need to be, from ${formatTime(retryAt)}`]
}

/** What was proved of it: that both places were the same at the switch, and that nothing is left of the one that went. */
function auditOf({ progress: { audited, removed } }: Move): string[] {
  const differences = audited?.differences ?? []
  return [
    ...(audited === undefined || differences.length > 0
      ? []
      : [`Compared all rows of ${count(audited.tables, 'table')}, as they were at the switch: the same`]),
    ...differences.map((difference) => `Compared as of the switch, not the same: ${difference}`),
    ...(removed === undefined
      ? []
      : [`Removed ${removed}; nothing of the tenant was found there afterwards`]),
  ]
}

function lockOf({ progress }: Move): string {
  return progress.lockedMs === undefined ? '' : `, the tenant was locked for ${progress.lockedMs} ms`
}

function nextSteps({ state, rollbackUntil, stoppedAt }: Move, slug: string): string[] {
  if (state === 'switched' && stoppedAt !== null) {
    return ['', 'It can only go on: quickscale move resume, unless somebody watches moves.']
  }
  if (state === 'active' && rollbackUntil !== null) {
    return [
      '',
      `The way back is open until ${formatTime(rollbackUntil)}: quickscale move rollback ${slug}`,
      `To close it: quickscale move finish ${slug}; once it is over, whoever watches moves does so, or quickscale move resume.`,
    ]
  }
  return []
}

/** One line per move, the newest first. */
export function formatMoves(moves: readonly Move[], slugs: ReadonlyMap<string, string>): string {
  if (moves.length === 0) return 'No moves.'
  return moves
    .map(({ id, tenantId, state, source, target, createdAt, failure, stoppedAt }) =>
      [
        id,
        formatTime(createdAt),
        state.padEnd(10),
        slugs.get(tenantId) ?? tenantId,
        `${source.strategy} on ${source.server} → ${target.strategy} on ${target.server}`,
        ...(stoppedAt === null ? [] : ['stopped']),
        ...(failure === null ? [] : [`failed: ${failure}`]),
      ].join('  '),
    )
    .join('\n')
}

/** What a resumption has done. */
export function formatResumption({ moves, failed }: ResumeReport): string {
  return [
    ...moves.map(({ id, state }) => `${id}  ${state}`),
    ...failed.map(({ move, error }) => `${move}  ${error instanceof Error ? error.message : String(error)}`),
    `${count(moves.length, 'move')} brought on, ${failed.length} failed.`,
  ].join('\n')
}

export function formatPlace({ strategy, server, database, schema }: MovePlace): string {
  return `${strategy} on ${server}: ${database}, schema ${schema}`
}

export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
