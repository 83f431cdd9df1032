import type pg from 'pg'
import { limits } from '../limits.ts'
import { connected } from './stage.ts'

/** Indexes of a place that rows pass by while they are loaded: building one afterwards is faster than keeping it. */
export interface RestingIndexes {
  readonly url: string
  readonly schema: string
}

/** Indexes that hold entries; those of partitioned tables are in their partitions. */
const held = `
  from pg_class as class join pg_namespace as namespace on namespace.oid = class.relnamespace
 where class.relkind = 'i' and nspname = $1`

/**
 * Has every index of the place stand still. It stays what it is, with its constraint, its name and its comment; PostgreSQL
 * knows such indexes, and REINDEX fills them. A superuser may say so in the catalog.
 */
export async function restIndexes({ url, schema }: RestingIndexes): Promise<void> {
  await connected(url, (client) =>
    client.query(
      `update pg_catalog.pg_index set indisready = false, indisvalid = false
        where indexrelid in (select class.oid ${held}) and indisvalid`,
      [schema],
    ),
  )
}

/** Fills them, and counts what the planner goes by. @throws DatabaseError where the rows break a key, which they do not where they came from */
export async function buildIndexes(
  { url, schema }: RestingIndexes,
  onIndex: (built: number, total: number) => void,
): Promise<void> {
  await connected(url, async (client) => {
    await client.query(`set maintenance_work_mem = '${limits.indexMemoryMiB}MB'`)
    const names = await readResting(client, schema)
    for (const [built, name] of names.entries()) {
      onIndex(built, names.length)
      await client.query(`reindex index ${name}`)
    }
    await client.query('analyze')
  })
}

async function readResting(client: pg.Client, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select format('%I.%I', nspname, class.relname) as name ${held}
        and exists (select from pg_index where indexrelid = class.oid and not indisready)
      order by class.relname`,
    [schema],
  )
  return rows.map(({ name }) => name)
}
