// A transaction that sets what the policies believe: https://orm.drizzle.team/docs/rls
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { toSql } from './drizzle-sql.js'

export function open(connection) {
  const pool = new pg.Pool(connection)
  const db = drizzle(pool)
  return {
    run: (tenantId, statement) =>
      db.transaction(async (tx) => {
        await tx.execute(sql`select set_config('app.tenant', ${tenantId}, true)`)
        return await tx.execute(toSql(statement))
      }),
    close: () => pool.end(),
  }
}
