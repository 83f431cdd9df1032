import type { Kysely } from 'kysely'
import type { CatalogTables } from './tables.ts'

/** Writes down an administrative act; the log is append-only. */
export async function recordAudit(
  db: Kysely<CatalogTables>,
  entry: { action: string; tenantId: string | null; details?: Readonly<Record<string, unknown>> },
): Promise<void> {
  await db
    .insertInto('audit')
    .values({ action: entry.action, tenant_id: entry.tenantId, details: JSON.stringify(entry.details ?? {}) })
    .execute()
}
