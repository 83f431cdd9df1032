import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Destination,
  type Move,
  QuickScaleError,
  type Strategy,
  type Tenancy,
} from '@quickscale/tenancy'
import { exitCodes } from '../exit-codes.ts'
import { count } from '../format.ts'
import { limits } from '../limits.ts'
import { formatMove, formatMoves, formatPlan, formatResumption } from './format.ts'
import type { MoveFlags, MoveSession, Outcome } from './session.ts'

/** What `quickscale move TENANT` takes. */
export interface StartFlags extends MoveFlags {
  readonly to?: Strategy
  readonly plan?: string
  readonly server?: string
  readonly rollbackWindow?: number
  readonly dryRun?: boolean
}

/** Moves a tenant, or only says what it would do. */
export async function start(
  { tenancy, drive }: MoveSession,
  tenant: string,
  { to, plan, server, rollbackWindow, dryRun }: StartFlags,
): Promise<Outcome> {
  const destination: Destination = {
    ...(to === undefined ? {} : { to }),
    ...(plan === undefined ? {} : { plan }),
    ...(server === undefined ? {} : { server }),
    ...(rollbackWindow === undefined ? {} : { rollbackWindowMs: rollbackWindow }),
  }
  if (dryRun) {
    const found = await tenancy.moves.plan(tenant, destination)
    const ok = found.obstacles.length === 0
    return {
      exitCode: ok ? exitCodes.well : exitCodes.differs,
      json: { ok, dryRun, ...found },
      text: formatPlan(found),
    }
  }
  const move = await tenancy.moves.start(tenant, { ...destination, ...drive })
  // Somebody else may have taken it back meanwhile.
  return await outcomeOf(tenancy, move, arrived.includes(move.state))
}

const arrived: readonly Move['state'][] = ['active', 'purging', 'done']

/** @param ok whether it is what was wished for */
export async function outcomeOf(tenancy: Tenancy, move: Move, ok = true): Promise<Outcome> {
  return {
    exitCode: ok ? exitCodes.well : exitCodes.differs,
    json: { ok, ...move },
    text: formatMove(move, await slugOf(tenancy, move.tenantId)),
  }
}

async function slugOf(tenancy: Tenancy, tenantId: string): Promise<string> {
  try {
    return (await tenancy.tenants.get(tenantId)).slug
  } catch (error) {
    // Deleted since.
    if (error instanceof QuickScaleError && error.code === 'TENANT_NOT_FOUND') return tenantId
    throw error
  }
}

export async function list(
  tenancy: Tenancy,
  { tenant, unfinished }: { readonly tenant?: string; readonly unfinished?: boolean },
): Promise<Outcome> {
  const moves = await tenancy.moves.list({
    limit: limits.movesListed,
    ...(tenant === undefined ? {} : { tenant }),
    ...(unfinished === undefined ? {} : { unfinished }),
  })
  const slugs = new Map<string, string>()
  for (const { tenantId } of moves) {
    if (!slugs.has(tenantId)) slugs.set(tenantId, await slugOf(tenancy, tenantId))
  }
  return { exitCode: exitCodes.well, json: { ok: true, moves }, text: formatMoves(moves, slugs) }
}

export async function show(
  { tenancy, signal, show: draw }: MoveSession,
  key: string,
  watch: boolean,
): Promise<Outcome> {
  let move = await tenancy.moves.get(key)
  while (watch && move.failure === null && !isAtRest(move)) {
    draw(move)
    await sleep(limits.watchEveryMs, undefined, { signal })
    move = await tenancy.moves.get(move.id)
  }
  return await outcomeOf(tenancy, move, !watch || move.failure === null || isAtRest(move))
}

/** Nothing happens until somebody wishes it. */
function isAtRest({ state, finishedAt, request, stoppedAt }: Move): boolean {
  const stopped = stoppedAt !== null && state !== 'switched'
  return finishedAt !== null || stopped || (state === 'active' && request === null)
}

export async function resume({ tenancy, drive }: MoveSession): Promise<Outcome> {
  const report = await tenancy.moves.resume(drive)
  drive.signal?.throwIfAborted()
  const ok = report.failed.length === 0
  const failed = report.failed.map(({ move, error }) => ({
    move,
    error: {
      code: error instanceof QuickScaleError ? error.code : undefined,
      message: error instanceof Error ? error.message : String(error),
      remedy: error instanceof QuickScaleError ? error.remedy : undefined,
    },
  }))
  return {
    exitCode: ok ? exitCodes.well : exitCodes.differs,
    json: { ok, moves: report.moves, failed },
    text: formatResumption(report),
  }
}

export async function verify({ tenancy, signal }: MoveSession, key: string): Promise<Outcome> {
  const found = await tenancy.moves.verify(key, { signal })
  const ok = found.differences.length === 0
  return {
    exitCode: ok ? exitCodes.well : exitCodes.differs,
    json: { ok, ...found },
    text: ok
      ? `The same, all rows of ${count(found.tables, 'table')}.`
      : ['Not the same:', ...found.differences.map((difference) => `  - ${difference}`)].join('\n'),
  }
}
