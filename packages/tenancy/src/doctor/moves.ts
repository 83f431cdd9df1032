import { setTimeout as sleep } from 'node:timers/promises'
import { type DueMove, listDoubtfulMoves } from '../catalog/left-moves.ts'
import type { HeldMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { EndRole } from '../move.ts'
import { endsOf, readEnd } from '../placements/departures.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Fact } from './checks.ts'

interface Found {
  readonly fact: Fact
  /** What is found again, and not something else. */
  readonly key: string
  /** It may be otherwise in a moment. */
  readonly passing: boolean
}

/**
 * Moves that nobody works on and nobody will take up by himself, and tenants that are let in at neither of their places. A switch
 * takes some milliseconds, and who watches a second: what may pass is looked at twice.
 */
export async function examineMoves(workshop: Workshop): Promise<Fact[]> {
  const first = await look(workshop)
  if (!first.some(({ passing }) => passing)) return first.map(({ fact }) => fact)
  await sleep(2 * limits.moveWatchMs)
  const before = new Set(first.map(({ key }) => key))
  const second = await look(workshop)
  return second.filter(({ key, passing }) => !passing || before.has(key)).map(({ fact }) => fact)
}

async function look(workshop: Workshop): Promise<Found[]> {
  const found: Found[] = []
  for (const move of await listDoubtfulMoves(workshop.catalog.db, limits.movesPerPageMax)) {
    const { id, lease, tenantId } = move.held
    const add = (fact: Omit<Fact, 'subject'>, key: string, passing: boolean) =>
      found.push({ fact: { ...fact, subject: tenantId }, key, passing })
    const gap = await findGap(workshop, move.held)
    // Whoever takes the move over meanwhile has not opened the place yet.
    if (gap !== null) add({ check: 'move-between', detail: `${gap}; ${describe(move)}` }, id, true)
    else if (!move.workedOn && !(move.goesOn && move.delayed)) {
      add({ check: 'move-left', detail: describe(move) }, `${id} ${lease}`, move.goesOn)
    }
  }
  return found
}

/** @returns between which databases the tenant is; null when it is in one of them */
async function findGap(workshop: Workshop, held: HeldMove): Promise<string | null> {
  if (!['streaming', 'switched', 'returning'].includes(held.state)) return null
  const { from, to } = endsOf(held)
  const [left, next] = [await ask(workshop, held, from), await ask(workshop, held, to)]
  const hasLeft = typeof left === 'string' ? held.state === 'switched' : left.left
  if (!hasLeft || (typeof next !== 'string' && next.open)) return null
  const why = typeof next === 'string' ? ` (${next})` : ''
  return `from ${held[from].database} to ${held[to].database}${why}`
}

const away = new Set(['SERVER_UNREACHABLE', 'SERVER_UNKNOWN'])

/** A database that cannot be asked is no reason to look at no other: then it is said why. */
async function ask(workshop: Workshop, held: HeldMove, role: EndRole) {
  try {
    return await readEnd(workshop, held, role)
  } catch (cause) {
    if (cause instanceof QuickScaleError && !away.has(cause.code)) throw cause
    return cause instanceof Error ? cause.message : String(cause)
  }
}

function describe({ held, workedOn, goesOn, unlocked }: DueMove): string {
  const { state, createdAt, stoppedAt, attempts, failure } = held
  const parts = [`${state}, begun ${createdAt.toISOString()}`]
  if (workedOn) parts.push('a process works on it')
  else if (stoppedAt !== null) parts.push(`stopped ${stoppedAt.toISOString()}`)
  else if (unlocked) parts.push('last with a process of an earlier version, which may live')
  else if (!goesOn) parts.push(`tried ${attempts} times${lastTriedAt(held)}`)
  else parts.push('left by its process, and nobody who watches takes it up')
  if (failure !== null) parts.push(`last failure: ${failure}`)
  return parts.join('; ')
}

/** When it would have been tried again says when it was tried last. */
function lastTriedAt({ retryAt, attempts }: Pick<HeldMove, 'retryAt' | 'attempts'>): string {
  if (retryAt === null) return ''
  const pauseMs = Math.min(limits.moveRetryMs * 2 ** Math.max(0, attempts - 1), limits.moveRetryMsMax)
  return `, last ${new Date(retryAt.getTime() - pauseMs).toISOString()}`
}
