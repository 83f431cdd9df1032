// runAs over the Drizzle adapter: https://www.npmjs.com/package/@usebetterdev/tenant
import { betterTenant } from '@usebetterdev/tenant'
import { drizzleDatabase } from '@usebetterdev/tenant/drizzle'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { toSql } from './drizzle-sql.js'

export function open(connection) {
  const pool = new pg.Pool(connection)
  const tenant = betterTenant({
    database: drizzleDatabase(drizzle(pool)),
    tenantResolver: { header: 'x-tenant-id' },
    // As it would be with rows of its own table of tenants, but for the query that reads them.
    loadTenant: false,
    telemetry: { enabled: false },
  })
  return {
    run: (tenantId, statement) => tenant.runAs(tenantId, (db) => db.execute(toSql(statement))),
    close: () => pool.end(),
  }
}
