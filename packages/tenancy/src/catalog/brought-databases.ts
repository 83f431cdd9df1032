import type { Kysely } from 'kysely'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { broughtServerName } from '../server-config.ts'
import type { Envelope } from './credentials.ts'
import type { CatalogTables } from './tables.ts'

/** The server row of a brought database. */
export interface BroughtServerRecord {
  /** System and oid of its one database. */
  readonly identity: string
  /** Its administrator's URL. */
  readonly credential: Envelope
}

/** How a brought database is reached, as it is kept. */
export interface BroughtAddress extends BroughtServerRecord {
  readonly host: string
  readonly port: number
}

export async function findBroughtServer(
  db: Kysely<CatalogTables>,
  name: string,
): Promise<BroughtServerRecord | null> {
  const row = await db
    .selectFrom('server')
    .select(['identity', 'credential'])
    .where('name', '=', name)
    .executeTakeFirst()
  if (row === undefined || row.identity === null || row.credential === null) return null
  return { identity: row.identity, credential: row.credential }
}

/** Whether a database of this identity is some tenant's already. */
export async function isBrought(db: Kysely<CatalogTables>, identity: string): Promise<boolean> {
  const row = await db.selectFrom('server').select('id').where('identity', '=', identity).executeTakeFirst()
  return row !== undefined
}

/** From now on it is reached there. @throws QuickScaleError `DATABASE_TAKEN` */
export async function replaceBroughtAddress(
  db: Kysely<CatalogTables>,
  tenantId: string,
  databaseName: string,
  { identity, credential, host, port }: BroughtAddress,
): Promise<void> {
  const name = broughtServerName(tenantId)
  await db
    .updateTable('server')
    .set(({ eb }) => ({
      host,
      port,
      identity,
      credential: JSON.stringify(credential),
      revision: eb('revision', '+', 1),
    }))
    .where('name', '=', name)
    .execute()
    .catch(explainTaken)
  await db
    .updateTable('database')
    .set({ name: databaseName })
    .where('server_id', 'in', db.selectFrom('server').select('id').where('name', '=', name))
    .execute()
}

/** Configured servers that may be the one with this identifier: the names of those that have it, or have none yet. */
export async function listServersOfSystem(db: Kysely<CatalogTables>, system: string): Promise<string[]> {
  const rows = await db
    .selectFrom('server')
    .select('name')
    .where('identity', 'is', null)
    .where((where) => where.or([where('system', '=', system), where('system', 'is', null)]))
    .execute()
  return rows.map(({ name }) => name)
}

/** Names the refusal of a database that is some tenant's already. */
export function explainTaken(cause: unknown): never {
  if (cause instanceof pg.DatabaseError && cause.constraint === 'server_identity_key') {
    throw taken('it is the database of a tenant already', cause)
  }
  throw cause
}

export function taken(reason: string, cause?: unknown): QuickScaleError {
  return new QuickScaleError('DATABASE_TAKEN', { reason }, { cause })
}
