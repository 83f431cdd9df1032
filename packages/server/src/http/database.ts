import type { TenantTables } from '@quickscale/tenancy/fastify'
import { Kysely, PostgresDialect, type PostgresPoolClient, PostgresQueryCompiler } from 'kysely'

/** A tenant's tables, or one transaction in them. */
export type Database = Kysely<TenantTables>

// As the handles of tenants do: compiling is synchronous, and a compiler of its own would cost a request more than that.
const compiler = new PostgresQueryCompiler()

class SharingDialect extends PostgresDialect {
  override createQueryCompiler(): PostgresQueryCompiler {
    return compiler
  }
}

/** A connection that whoever has it gives back. */
export interface HeldConnection {
  query(text: string, values: unknown[]): Promise<unknown>
}

/** The tables over one connection. */
export function databaseOver(connect: () => Promise<HeldConnection>): Database {
  const client = async () => ({ ...(await connect()), release: () => undefined }) as PostgresPoolClient
  return new Kysely({
    dialect: new SharingDialect({ pool: { connect: client, end: async () => undefined, options: {} } }),
  })
}
