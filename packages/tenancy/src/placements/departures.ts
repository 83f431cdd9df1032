/**
 * Where a tenant on a move is, as its places have it. Between the commit by which it leaves one and the opening of the next nobody
 * lets it in; the catalog hears of both later, and when the process that moves it ends there, not at all.
 */
import type pg from 'pg'
import type { HeldMove } from '../catalog/moves.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { EndRole } from '../move.ts'
import type { Workshop } from '../strategies/strategy.ts'

type Ends = Pick<HeldMove, 'id' | 'tenantId' | 'state' | 'sourceDatabase' | 'targetDatabase'>

/** Where a tenant comes from and where it goes to at the moment: on the way back the other way round. */
export function endsOf(move: Ends): { readonly from: EndRole; readonly to: EndRole } {
  return move.state === 'returning' ? { from: 'target', to: 'source' } : { from: 'source', to: 'target' }
}

/** What one end says. */
export interface EndStanding {
  /** The tenant has left it for the other end: the commit that nothing takes back. */
  readonly left: boolean
  /** Its fence is the tenant's, whatever the tenant's state: it has not left, or has arrived. */
  readonly open: boolean
}

/**
 * Asks one end, and changes nothing there. Nobody waits for that, nor does it wait for anybody who moves the tenant.
 *
 * @throws whatever keeps the database from answering
 */
export async function readEnd(workshop: Workshop, move: Ends, role: EndRole): Promise<EndStanding> {
  const database = databaseOf(move, role)
  if (database === null) return { left: false, open: false }
  const on = database.kind === 'shared' ? workshop.servers.pooled : workshop.servers.connected
  return await on(database, async (client: pg.ClientBase) => {
    const { rows } = await client.query<EndStanding>(
      `select exists (select from quickscale.move_end
                       where move_id = $1 and role = $2 and state = any ($3)) as left,
              exists (select from quickscale.placement
                       where tenant_id = $4 and state not in ('pending', 'moved')) as open`,
      [move.id, role, role === 'source' ? ['switched', 'active'] : ['returned'], move.tenantId],
    )
    return rows[0] ?? { left: false, open: false }
  })
}

function databaseOf({ sourceDatabase, targetDatabase }: Ends, role: EndRole): DatabaseRecord | null {
  return role === 'source' ? sourceDatabase : targetDatabase
}
