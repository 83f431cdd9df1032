import type { TenantTables } from '@quickscale/tenancy/fastify'
import { sql } from 'kysely'
import { ProblemError } from './problem-error.ts'
import type { Database } from './route.ts'

/** A filter that names records of another table. */
export interface Reference {
  readonly field: string
  readonly table: keyof TenantTables
  /** @defaultValue `id` */
  readonly key?: string
  readonly ids: readonly string[]
}

/**
 * Refuses filters by records that are not here. To be called when a list came out empty: otherwise what was named is
 * there, because rows refer to it.
 *
 * @throws ProblemError `NOT_FOUND`
 */
export async function assertKnown(db: Database, references: readonly Reference[]): Promise<void> {
  for (const { field, table, key = 'id', ids } of references) {
    if (ids.length === 0) continue
    const { rows } = await sql<{ known: number }>`
      select count(*)::int as known from ${sql.table(table)}
       where ${sql.ref(key)} = any(${[...ids]}::uuid[])`.execute(db)
    if (rows[0]?.known === new Set(ids).size) continue
    throw new ProblemError(404, 'NOT_FOUND', `${field} names what is not in this tenant`, [
      { in: 'query', path: `/${field}`, message: 'names what is not in this tenant' },
    ])
  }
}
