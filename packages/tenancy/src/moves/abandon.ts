/**
 * A move that one of its servers will never answer again. What counts is where the tenant lives, and that is what the fence of the
 * server says that is still there:
 *
 *   it lives at the surviving end        the move is over, and what the other end has is left to whoever finds it
 *   it has left the surviving end …      only forward: the other server has to come back
 *   … and its next place was never open  the switch is taken back
 *
 * For the last of these the source must know. So a mover writes down there that it opens the target (`moves/arrive.ts`) before it
 * does, and both that and the taking back replace `switched`: whoever comes first has it.
 */
import type pg from 'pg'
import { recordAudit } from '../catalog/audit.ts'
import { type HeldMove, leaseMove, recordMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import { inTransaction } from '../in-transaction.ts'
import type { EndRole } from '../move.ts'
import { isOpen } from '../strategies/databases.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { admitAs, pointHere, readOpenState } from './arrive.ts'
import { claimEnd, type End, endOf, forgetEnd, writeEnd } from './end.ts'
import { evictEarlierHolder, withSessions } from './session.ts'
import { followState, removeStream } from './steps.ts'

/** @throws QuickScaleError `MOVE_NOT_ABANDONED`, `MOVE_TAKEN_OVER` */
export async function abandonMove(workshop: Workshop, id: string): Promise<void> {
  const held = await leaseMove(workshop.catalog.db, id, { asked: true })
  const [surviving, gone] = await findSurvivor(workshop, held)
  const end = endOf(held, surviving)
  await evictEarlierHolder(workshop.servers, held, end.place.database.server)
  if (!end.place.database.ready || !(await isOpen(workshop, end.place.database)))
    throw livesElsewhere(held, gone)
  await withSessions(workshop, held, async (sessions) => {
    const client = await sessions.open(end.place.database, 'abandon')
    const epoch = await requireTenantHere(workshop, client, held, end, gone)
    await pointHere(workshop, held, end, epoch)
    await removeStream(client, held, surviving)
    await forgetEnd(client, held, surviving)
    await finish(workshop, held, surviving, epoch)
  })
  await followState(workshop, held)
}

/** @returns the end whose server answers, and the one whose server does not */
async function findSurvivor(workshop: Workshop, held: HeldMove): Promise<[EndRole, EndRole]> {
  const [source, target] = await Promise.all([
    answers(workshop, held.source.server),
    answers(workshop, held.target.server),
  ])
  if (source !== target) return source ? ['source', 'target'] : ['target', 'source']
  throw new QuickScaleError('MOVE_NOT_ABANDONED', {
    move: held.id,
    reason: source ? 'both of its servers answer' : 'none of its servers answers',
  })
}

async function answers({ servers }: Workshop, name: string): Promise<boolean> {
  try {
    const { administrator } = await servers.of(name)
    // Not a connection that was opened while it still answered.
    await administrator.connected(administrator.maintenanceDatabase, (client) => client.query('select'))
    return true
  } catch (error) {
    const away =
      error instanceof QuickScaleError && ['SERVER_UNREACHABLE', 'SERVER_UNKNOWN'].includes(error.code)
    if (!away) throw error
    return false
  }
}

/** @returns the tenant's epoch @throws QuickScaleError `MOVE_NOT_ABANDONED` when the tenant lives at the other end */
async function requireTenantHere(
  workshop: Workshop,
  client: pg.ClientBase,
  held: HeldMove,
  end: End,
  gone: EndRole,
): Promise<number> {
  const { rows } = await client.query<{ state: string; epoch: number }>(
    'select state, epoch from quickscale.placement where tenant_id = $1',
    [held.tenantId],
  )
  const [fence] = rows
  if (fence !== undefined && fence.state !== 'pending' && fence.state !== 'moved') {
    await claimEnd(client, held, end.role, 'planned')
    return fence.epoch
  }
  if (fence?.state !== 'moved' || end.role !== 'source') throw livesElsewhere(held, gone)
  return await takeBack(workshop, client, held, end, gone)
}

/** Undoes a switch whose target nobody has begun to open; the epoch grows, because the next one may be known already. */
async function takeBack(
  workshop: Workshop,
  client: pg.ClientBase,
  held: HeldMove,
  { place }: End,
  gone: EndRole,
): Promise<number> {
  const epoch = held.epoch + 2
  const state = await readOpenState(workshop, held)
  await inTransaction(client, async () => {
    const known = await claimEnd(client, held, 'source', 'planned')
    if (known.state !== 'switched') throw livesElsewhere(held, gone)
    await writeEnd(client, held, 'source', { state: 'returned' })
    await client.query(
      `update quickscale.placement set state = 'active', destination = null, epoch = $2
        where tenant_id = $1 and state = 'moved'`,
      [held.tenantId, epoch],
    )
    await admitAs(client, held, place.database, state)
  })
  return epoch
}

function livesElsewhere(held: HeldMove, gone: EndRole): QuickScaleError {
  const reason = `the tenant lives on ${held[gone].server}, or may have worked there, as far as is known without it`
  return new QuickScaleError('MOVE_NOT_ABANDONED', { move: held.id, reason })
}

async function finish(workshop: Workshop, held: HeldMove, surviving: EndRole, epoch: number): Promise<void> {
  const gone = surviving === 'source' ? 'target' : 'source'
  const { strategy, server, database, schema } = held[gone]
  const left = strategy === 'database' ? `database ${database}` : `${schema} of database ${database}`
  const back = epoch > held.epoch ? 'returned' : 'cancelled'
  await workshop.catalog.db.transaction().execute(async (transaction) => {
    await recordMove(transaction, held, {
      state: surviving === 'target' ? 'done' : back,
      finished: true,
      failure: `abandoned: ${left} on ${server} was left as it is`,
      ...(surviving === 'target' ? { switched: true } : {}),
    })
    const record = gone === 'source' ? held.sourceDatabase : held.targetDatabase
    if (strategy === 'database' && record !== null) {
      await transaction.deleteFrom('database').where('id', '=', record.id).execute()
    }
    const details = { move: held.id, left: held[gone] }
    await recordAudit(transaction, { action: 'move.abandoned', tenantId: held.tenantId, details })
  })
}
