import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { Kysely } from 'kysely'

/** A tenant's tables, or one transaction in them. */
export type Database = Kysely<TenantTables>
