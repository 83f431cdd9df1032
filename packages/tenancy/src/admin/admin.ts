/**
 * The unscoped path, for an operator's scripts: repairs, backfills, questions across tenants. It is an object of its own,
 * with roles and connections of its own, and never a flag on a tenant's handle. Its roles see all rows (BYPASSRLS) but own
 * nothing: they change no table, read no key, and the CHECKs of private places hold for them too.
 */
import pg from 'pg'
import { assertFunction } from '../arguments.ts'
import { recordAudit } from '../catalog/audit.ts'
import { type DatabaseRecord, findRoute } from '../catalog/places.ts'
import { parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import { primaryServer } from '../server-config.ts'
import { classify } from '../session/classifier.ts'
import { requireShared } from '../strategies/databases.ts'
import { loginFor } from '../strategies/logins.ts'
import type { Workshop } from '../strategies/strategy.ts'

/** Who uses the unscoped path, why, and where. All of it goes into the audit log. */
export interface AdminUse {
  /** A person or a script, 1 to 200 characters. */
  readonly who: string
  /** 1 to 1000 characters. */
  readonly why: string
  /** The database that this tenant lives in, with its schema first in the search path. @defaultValue the shared database of the server `primary` */
  readonly tenant?: string
}

/** What an operator's script works with; of no use after it has returned. */
export interface AdminTransaction {
  /** Runs SQL. A row that is inserted names its `tenant_id`: there is no tenant to take it from. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>
  /** Schema of the tables, first in the search path. */
  readonly schemaName: string
}

/** The unscoped path. */
export interface Admin {
  /**
   * Runs `work` in one transaction that no tenant's policy narrows, after the audit log has taken note of it. Tenants
   * that are being moved wait for it, and it for them.
   *
   * @throws QuickScaleError `ADMIN_UNEXPLAINED`, `TENANT_NOT_FOUND`, `STATEMENT_REFUSED` for transaction control
   * @example
   * await tenancy.admin.transaction({ who: 'ann', why: 'ticket 4711: blank names' }, (tx) =>
   *   tx.query("update contact set name = 'unknown' where name = ''"),
   * )
   */
  transaction<T>(use: AdminUse, work: (transaction: AdminTransaction) => Promise<T>): Promise<T>
}

interface Ground {
  readonly database: DatabaseRecord
  readonly schemaName: string
  readonly tenantId: string | null
}

export function createAdmin(workshop: Workshop): Admin {
  return {
    transaction: async (use, work) => {
      const explained = readUse(use ?? {})
      assertFunction('work', work)
      const ground = await findGround(workshop, use)
      // First: what cannot be written down does not happen.
      const note = (action: string, outcome: Readonly<Record<string, unknown>> = {}) =>
        recordAudit(workshop.catalog.db, {
          action,
          tenantId: ground.tenantId,
          details: { ...explained, database: ground.database.name, ...outcome },
        })
      await note('admin.begun')
      let statements = 0
      try {
        const result = await connected(workshop, ground, (client) => {
          const query = async (text: string, values: unknown[] = []) => {
            statements += 1
            return await runUnscoped(client, text, values)
          }
          return runWork(client, ground, query as AdminTransaction['query'], work)
        })
        await note('admin.committed', { statements })
        return result
      } catch (error) {
        await note('admin.failed', { statements, reason: reasonOf(error) })
        throw error
      }
    },
  }
}

function readUse({ who, why }: AdminUse): { who: string; why: string } {
  for (const [field, value, lengthMax] of [
    ['who', who, limits.adminWhoLengthMax],
    ['why', why, limits.adminWhyLengthMax],
  ] as const) {
    const usable = typeof value === 'string' && value.trim() !== '' && value.length <= lengthMax
    if (!usable || value.includes('\0')) throw new QuickScaleError('ADMIN_UNEXPLAINED', { field })
  }
  return { who, why }
}

async function findGround(workshop: Workshop, { tenant }: AdminUse): Promise<Ground> {
  if (tenant !== undefined) {
    const route = await findRoute(workshop.catalog.db, parseTenantKey(tenant))
    if (route === null) throw new QuickScaleError('TENANT_NOT_FOUND', { key: tenant })
    const { database, placement, tenantId } = route
    return { database, schemaName: placement.schemaName, tenantId }
  }
  return { database: await requireShared(workshop, primaryServer), schemaName: 'app', tenantId: null }
}

async function connected<T>(
  workshop: Workshop,
  { database }: Ground,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const login = await loginFor(workshop, database, 'unscoped')
  const { administrator } = await workshop.servers.of(database.server)
  const client = new pg.Client({
    connectionString: administrator.loginUrlOf(database.name, login.role, login.password),
    application_name: 'quickscale admin',
    connectionTimeoutMillis: limits.administratorConnectMs,
  })
  // A lost connection is reported by the query on it; an 'error' that nobody listens to ends Node.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

async function runWork<T>(
  client: pg.Client,
  { schemaName }: Ground,
  query: AdminTransaction['query'],
  work: (transaction: AdminTransaction) => Promise<T>,
): Promise<T> {
  return await inTransaction(client, async () => {
    await client.query('select quickscale.enter_unscoped()')
    await client.query(`set local search_path to ${quoteIdentifier(schemaName)}, extensions, pg_temp`)
    return await work({ query, schemaName })
  })
}

/** The lock lives as long as the transaction, so nobody but us may end it. */
async function runUnscoped(client: pg.Client, text: string, values: unknown[]): Promise<pg.QueryResult> {
  const { kind } = await classify(text)
  if (kind === 'begin' || kind === 'end') {
    throw new QuickScaleError('STATEMENT_REFUSED', {
      reason: 'the transaction ends when the function returns',
    })
  }
  return await client.query(text, values)
}

function reasonOf(error: unknown): string {
  return error instanceof QuickScaleError || error instanceof pg.DatabaseError
    ? (error.code ?? error.name)
    : 'the script failed'
}
