import { type Kysely, type Selectable, sql } from 'kysely'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Move, MoveProgress, MoveRequest, MoveState } from '../move.ts'
import type { Strategy } from '../tenant.ts'
import { recordAudit } from './audit.ts'
import { type DatabaseRecord, findDatabaseById } from './places.ts'
import type { CatalogTables } from './tables.ts'

type Database = Kysely<CatalogTables>

/** A move as the process that holds its lease sees it. */
export interface HeldMove extends Move {
  readonly lease: number
  /** Of the tenant before the move; the target has the next one. */
  readonly epoch: number
  readonly windowMs: number
  /** Null when the database is gone from the catalog. */
  readonly sourceDatabase: DatabaseRecord | null
  readonly targetDatabase: DatabaseRecord | null
}

/** A move that is about to be recorded. */
export interface NewMove {
  readonly id: string
  readonly tenantId: string
  readonly plan: string | null
  readonly epoch: number
  readonly source: PlannedPlace
  readonly target: PlannedPlace
  readonly windowMs: number
}

export interface PlannedPlace {
  readonly strategy: Strategy
  readonly databaseId: string
  readonly database: string
  readonly server: string
  readonly schema: string
}

/** @throws QuickScaleError `TENANT_MOVING` */
export async function insertMove(db: Database, move: NewMove): Promise<Move> {
  const { source, target } = move
  const row = await db
    .insertInto('move')
    .values({
      id: move.id,
      tenant_id: move.tenantId,
      plan_id: move.plan,
      epoch: move.epoch,
      source_strategy: source.strategy,
      source_database_id: source.databaseId,
      source_database: source.database,
      source_server: source.server,
      source_schema: source.schema,
      target_strategy: target.strategy,
      target_database_id: target.databaseId,
      target_database: target.database,
      target_server: target.server,
      target_schema: target.schema,
      window_ms: move.windowMs,
      locked_lease: 0,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
    .catch((cause: unknown) => {
      if (!(cause instanceof pg.DatabaseError && cause.constraint === 'move_unfinished')) throw cause
      throw new QuickScaleError('TENANT_MOVING', { key: move.tenantId }, { cause })
    })
  return toMove(row)
}

export async function findMove(db: Database, id: string): Promise<Move | null> {
  const row = await db.selectFrom('move').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? null : toMove(row)
}

/** The move that a tenant is on, if any: the way back may still be open. */
export async function findUnfinishedMove(db: Database, tenantId: string): Promise<Move | null> {
  const row = await db
    .selectFrom('move')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('finished_at', 'is', null)
    .executeTakeFirst()
  return row === undefined ? null : toMove(row)
}

/** Those of some moves that are not over. */
export async function findUnfinishedMoves(
  db: Database,
  ids: readonly string[],
): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectFrom('move')
    .select('id')
    .where('id', 'in', ids)
    .where('finished_at', 'is', null)
    .execute()
  return new Set(rows.map(({ id }) => id))
}

/** Which moves to list, the newest ones first. */
export interface MoveFilter {
  readonly tenantId?: string
  readonly unfinished?: boolean
  readonly limit: number
}

export async function listMoves(db: Database, { tenantId, unfinished, limit }: MoveFilter): Promise<Move[]> {
  let query = db.selectFrom('move').selectAll().orderBy('created_at', 'desc').orderBy('id').limit(limit)
  if (tenantId !== undefined) query = query.where('tenant_id', '=', tenantId)
  if (unfinished === true) query = query.where('finished_at', 'is', null)
  return (await query.execute()).map(toMove)
}

/** Moves on which there is something to be done, one page in the order of their ids; one that waits with its way back open needs nobody. */
export async function listDueMoves(db: Database, after: string | null, limit: number): Promise<Move[]> {
  let query = db
    .selectFrom('move')
    .selectAll()
    .where('finished_at', 'is', null)
    .where(
      sql<boolean>`(state <> 'active' or request is not null
        or coalesce(switched_at + window_ms * interval '1 millisecond', now()) <= now())`,
    )
    .orderBy('id')
    .limit(limit)
  if (after !== null) query = query.where('id', '>', after)
  return (await query.execute()).map(toMove)
}

/**
 * Takes a move over: what an earlier holder still does is refused from the next lease on.
 *
 * @param asked somebody wants it to go on, whatever was before
 */
export async function leaseMove(
  db: Database,
  id: string,
  { asked }: { readonly asked: boolean },
): Promise<HeldMove> {
  const row = await db
    .updateTable('move')
    .set({ ...nextLease, ...(asked ? untried : {}) })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
  if (row === undefined) throw new QuickScaleError('MOVE_NOT_FOUND', { move: id })
  return await toHeld(db, row)
}

/** A move that this process holds, as it is now; null when another one has taken it over. */
export async function reviewMove(
  db: Database,
  { id, lease }: Pick<HeldMove, 'id' | 'lease'>,
): Promise<HeldMove | null> {
  const row = await db
    .selectFrom('move')
    .selectAll()
    .where('id', '=', id)
    .where('lease', '=', lease)
    .executeTakeFirst()
  return row === undefined ? null : await toHeld(db, row)
}

/** Of a process that holds the move's lock meanwhile: see mover-locks.ts. */
export const nextLease = { lease: sql<number>`lease + 1`, locked_lease: sql<number>`lease + 1` }

/** As if nobody had taken it up unasked, nor stopped it. */
const untried = { stopped_at: null, attempts: 0, retry_at: null }

export async function toHeld(db: Database, row: Selectable<CatalogTables['move']>): Promise<HeldMove> {
  const databaseOf = async (databaseId: string | null) =>
    databaseId === null ? null : await findDatabaseById(db, databaseId)
  return {
    ...toMove(row),
    lease: row.lease,
    epoch: row.epoch,
    windowMs: Number(row.window_ms),
    sourceDatabase: await databaseOf(row.source_database_id),
    targetDatabase: await databaseOf(row.target_database_id),
  }
}

/** What may be written about a move. */
export interface MoveChange {
  readonly state?: MoveState
  readonly progress?: MoveProgress
  readonly failure?: string | null
  readonly switched?: true
  readonly finished?: true
  /** What was asked for is not wanted any more. */
  readonly unasked?: true
  /** Nobody is to take it up unasked. */
  readonly stopped?: true
  /** Somebody else is to take it up, as if this attempt had not been made. */
  readonly handedOver?: true
}

/**
 * Writes down how far a move is.
 *
 * @throws QuickScaleError `MOVE_TAKEN_OVER` when another process holds it by now
 */
export async function recordMove(
  db: Database,
  { id, lease }: Pick<HeldMove, 'id' | 'lease'>,
  change: MoveChange,
): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('move')
    .set({
      ...(change.state === undefined ? {} : { state: change.state }),
      ...(change.progress === undefined
        ? {}
        : { progress: sql`progress || ${JSON.stringify(change.progress)}::jsonb` }),
      ...(change.failure === undefined ? {} : { failure: change.failure }),
      // A cancellation has come too late.
      ...(change.switched
        ? {
            switched_at: sql<Date>`coalesce(switched_at, now())`,
            request: sql<MoveRequest | null>`nullif(request, 'cancel')`,
            ...untried,
          }
        : {}),
      ...(change.unasked ? { request: null } : {}),
      ...(change.stopped ? { stopped_at: sql<Date>`now()` } : {}),
      ...(change.handedOver ? { attempts: sql<number>`greatest(attempts - 1, 0)`, retry_at: null } : {}),
      ...(change.finished
        ? { finished_at: sql<Date>`now()`, request: null, stopped_at: null, retry_at: null }
        : {}),
    })
    .where('id', '=', id)
    .where('lease', '=', lease)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) throw new QuickScaleError('MOVE_TAKEN_OVER', { move: id })
}

export async function requestOfMove(db: Database, id: string): Promise<MoveRequest | null> {
  const row = await db.selectFrom('move').select('request').where('id', '=', id).executeTakeFirst()
  return row?.request ?? null
}

/** Asks whoever moves the tenant; null takes an earlier request back. */
export async function requestMove(db: Database, id: string, request: MoveRequest): Promise<void> {
  await db
    .updateTable('move')
    .set({ request })
    .where('id', '=', id)
    .where('finished_at', 'is', null)
    .execute()
}

/** Points the tenant's routes to a place; in one transaction with its plan and its line in the audit log. */
export async function pointTo(
  db: Database,
  held: HeldMove,
  place: { strategy: Strategy; databaseId: string; schema: string; epoch: number },
  action: 'tenant.moved' | 'tenant.moved_back',
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const { numUpdatedRows } = await transaction
      .updateTable('placement')
      .set({
        strategy: place.strategy,
        database_id: place.databaseId,
        schema_name: place.schema,
        epoch: place.epoch,
      })
      .where('tenant_id', '=', held.tenantId)
      .where('epoch', '<', place.epoch)
      .executeTakeFirst()
    // An earlier attempt has done it.
    if (numUpdatedRows === 0n) return
    const plan =
      held.plan === null
        ? null
        : await (action === 'tenant.moved' ? takePlan : givePlanBack)(transaction, held, held.plan)
    const details = { move: held.id, from: held.source, to: held.target, plan }
    await recordAudit(transaction, { action, tenantId: held.tenantId, details })
  })
}

async function takePlan(transaction: Database, { id, tenantId }: HeldMove, plan: string): Promise<string> {
  const tenants = transaction.selectFrom('tenant').select('plan_id').where('id', '=', tenantId).forUpdate()
  const { plan_id: before } = await tenants.executeTakeFirstOrThrow()
  await transaction.updateTable('move').set({ plan_before_id: before }).where('id', '=', id).execute()
  await transaction.updateTable('tenant').set({ plan_id: plan }).where('id', '=', tenantId).execute()
  return plan
}

/** Null when somebody has given the tenant another plan since it arrived: that one stays. */
async function givePlanBack(
  transaction: Database,
  { id, tenantId }: HeldMove,
  plan: string,
): Promise<string | null> {
  const moves = transaction.selectFrom('move').select('plan_before_id').where('id', '=', id)
  const { plan_before_id: before } = await moves.executeTakeFirstOrThrow()
  if (before === null) return null
  const { numUpdatedRows } = await transaction
    .updateTable('tenant')
    .set({ plan_id: before })
    .where('id', '=', tenantId)
    .where('plan_id', '=', plan)
    .executeTakeFirst()
  return numUpdatedRows === 0n ? null : before
}

/** Has whoever routes to the tenant get connections to its next place ready. */
export async function announceArrival(db: Database, id: string): Promise<void> {
  await sql`select catalog.announce_arrival(${id})`.execute(db)
}

export function toMove(row: Selectable<CatalogTables['move']>): Move {
  const open = row.switched_at !== null && row.state === 'active'
  return {
    id: row.id,
    tenantId: row.tenant_id,
    state: row.state,
    source: {
      strategy: row.source_strategy,
      server: row.source_server,
      database: row.source_database,
      schema: row.source_schema,
    },
    target: {
      strategy: row.target_strategy,
      server: row.target_server,
      database: row.target_database,
      schema: row.target_schema,
    },
    plan: row.plan_id,
    request: row.request,
    progress: row.progress,
    failure: row.failure,
    stoppedAt: row.stopped_at,
    attempts: row.attempts,
    attemptsLeft: Math.max(0, limits.moveAttemptsMax - row.attempts),
    retryAt: row.retry_at,
    createdAt: row.created_at,
    switchedAt: row.switched_at,
    rollbackUntil: open ? new Date((row.switched_at?.getTime() ?? 0) + Number(row.window_ms)) : null,
    finishedAt: row.finished_at,
  }
}
