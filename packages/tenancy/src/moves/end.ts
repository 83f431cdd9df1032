import type pg from 'pg'
import type { HeldMove } from '../catalog/moves.ts'
import { QuickScaleError } from '../errors.ts'
import type { EndRole, MoveState } from '../move.ts'
import type { Place } from '../strategies/strategy.ts'
import type { Strategy } from '../tenant.ts'

/** One of the two places between which a tenant moves. */
export interface End {
  readonly role: EndRole
  readonly strategy: Strategy
  readonly place: Place
}

/** @throws QuickScaleError `MOVE_STALLED` when the catalog has lost the database */
export function endOf(held: HeldMove, role: EndRole): End {
  const database = role === 'source' ? held.sourceDatabase : held.targetDatabase
  const { strategy, schema, database: name } = held[role]
  if (database === null) {
    throw new QuickScaleError('MOVE_STALLED', { move: held.id, reason: `database ${name} is gone` })
  }
  return { role, strategy, place: { database, schemaName: schema } }
}

/** Whether both places are in one database: then there is one fence for them. */
export function isWithinDatabase({ sourceDatabase, targetDatabase }: HeldMove): boolean {
  return sourceDatabase !== null && sourceDatabase.id === targetDatabase?.id
}

/** What a place knows of a move. */
export interface EndRecord {
  readonly state: MoveState
  /** LSN of the other end's log up to which everything has been applied here. */
  readonly position: string | null
}

/** Whether the source knows that its tenant was switched. */
export function hasSwitched({ state }: EndRecord): boolean {
  return state === 'switched' || state === 'active'
}

/** Makes the row of one end this holder's; whoever had it before can write nothing of the move here any more. */
export async function claimEnd(
  client: pg.ClientBase,
  held: Pick<HeldMove, 'id' | 'tenantId' | 'lease'>,
  role: EndRole,
  state: MoveState,
): Promise<EndRecord> {
  const { rows } = await client.query<EndRecord>(
    `insert into quickscale.move_end as known (move_id, role, tenant_id, lease, state) values ($1, $2, $3, $4, $5)
     on conflict (move_id, role) do update set lease = excluded.lease where known.lease <= excluded.lease
     returning state, position::text as position`,
    [held.id, role, held.tenantId, held.lease, state],
  )
  if (rows[0] === undefined) throw new QuickScaleError('MOVE_TAKEN_OVER', { move: held.id })
  return rows[0]
}

/**
 * Writes down what one end knows, in the caller's transaction if there is one.
 *
 * @throws QuickScaleError `MOVE_TAKEN_OVER`
 */
export async function writeEnd(
  client: pg.ClientBase,
  { id, lease }: Pick<HeldMove, 'id' | 'lease'>,
  role: EndRole,
  { state, position }: { state?: MoveState; position?: string | null },
): Promise<void> {
  const { rowCount } = await client.query(
    `update quickscale.move_end
        set state = coalesce($4, state), position = case when $5 then $6::pg_lsn else position end
      where move_id = $1 and role = $2 and lease = $3`,
    [id, role, lease, state ?? null, position !== undefined, position ?? null],
  )
  if (rowCount === 0) throw new QuickScaleError('MOVE_TAKEN_OVER', { move: id })
}

/**
 * Keeps others from taking the move over at this end until the caller's transaction has ended.
 *
 * @throws QuickScaleError `MOVE_TAKEN_OVER` when one has already
 */
export async function holdEnd(
  client: pg.ClientBase,
  { id, lease }: Pick<HeldMove, 'id' | 'lease'>,
  role: EndRole,
): Promise<void> {
  const { rowCount } = await client.query(
    'select from quickscale.move_end where move_id = $1 and role = $2 and lease = $3 for update',
    [id, role, lease],
  )
  if (rowCount === 0) throw new QuickScaleError('MOVE_TAKEN_OVER', { move: id })
}

export async function forgetEnd(
  client: pg.ClientBase,
  { id }: Pick<HeldMove, 'id'>,
  role: EndRole,
): Promise<void> {
  await client.query('delete from quickscale.move_end where move_id = $1 and role = $2', [id, role])
}
