import type pg from 'pg'
import type { Catalog } from '../catalog/catalog.ts'
import { findUnfinishedMoves } from '../catalog/moves.ts'
import type { Fact } from './checks.ts'

/** Publications and replication slots of a database whose move is over: a server that was away has some when it comes back. */
export async function findOrphanedStreams(client: pg.ClientBase, db: Catalog['db']): Promise<Fact[]> {
  const { rows } = await client.query<{ kind: string; name: string; move: string }>(
    `select kind, name, substr(name, 12, 32)::uuid::text as move
       from (select 'replication slot' as kind, slot_name::text as name from pg_replication_slots
              where database = current_database()
             union all select 'publication', pubname::text from pg_publication) as stream
      where name ~ '^quickscale_[0-9a-f]{32}_(there|back)$'
      order by kind desc, name`,
  )
  if (rows.length === 0) return []
  const wanted = await findUnfinishedMoves(
    db,
    rows.map(({ move }) => move),
  )
  return rows
    .filter(({ move }) => !wanted.has(move))
    .map(({ kind, name }) => ({ check: 'stream-orphaned', subject: name, detail: kind }))
}
