import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { upgradeObjects } from '../sql-files.ts'
import { CatalogChanges } from './changes.ts'
import { type Locks, type Named, openLocks } from './locks.ts'
import { MoverLocks } from './mover-locks.ts'
import { openPool, unreachable } from './pool.ts'
import type { CatalogTables } from './tables.ts'

const connectionsMax = 5

/** The control plane's database. */
export interface Catalog extends Locks {
  /** Kysely over the schema `catalog`; where there is none, every query throws `NOT_INSTALLED`; `CATALOG_UNREACHABLE`. */
  readonly db: Kysely<CatalogTables>
  /** What others change in it. */
  readonly changes: CatalogChanges
  /** Which moves somebody works on. */
  readonly movers: MoverLocks
  /** Creates or upgrades the catalog's objects. */
  upgrade(): Promise<void>
}

/** Database, schema, table, column or function that is not there. */
const absent = new Set(['3D000', '3F000', '42P01', '42703', '42883'])

/** Opens the catalog of an installation at `url`; connects at the first query. */
export function openCatalog(url: string, installation: string): Catalog {
  const pool = openPool({
    connectionString: url,
    max: connectionsMax,
    connectionTimeoutMillis: limits.catalogConnectMs,
    idleTimeoutMillis: limits.catalogIdleMs,
    application_name: 'quickscale catalog',
  })
  const named: Named = (query) => query.catch((cause) => explain(cause, installation))
  const dialectPool = {
    connect: async () => {
      const client = await named(pool.connect())
      const query = (text: string, values: readonly unknown[]) => named(client.query(text, [...values]))
      return Object.create(client, { query: { value: query } }) as pg.PoolClient
    },
    end: () => pool.end(),
    options: pool.options,
  }
  const dialect = new PostgresDialect({ pool: dialectPool })
  const changes = new CatalogChanges(url)
  const locks = openLocks(url, named)
  const movers = new MoverLocks(url, named)
  return {
    db: new Kysely<CatalogTables>({ dialect }).withSchema('catalog'),
    changes,
    movers,
    upgrade: () => upgrade(pool),
    ...locks,
    close: async () => {
      await Promise.all([pool.end(), locks.close(), movers.close(), changes.close()])
    },
  }
}

function explain(cause: unknown, installation: string): never {
  if (cause instanceof pg.DatabaseError && absent.has(cause.code ?? '')) {
    throw new QuickScaleError('NOT_INSTALLED', { installation }, { cause })
  }
  if (cause instanceof pg.DatabaseError && !unreachable.test(cause.code ?? '')) throw cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  throw new QuickScaleError('CATALOG_UNREACHABLE', { reason }, { cause })
}

async function upgrade(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await upgradeObjects(client, 'catalog', 'catalog')
  } finally {
    client.release()
  }
}
