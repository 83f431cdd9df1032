import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { asAdministrator } from '../installation.ts'

/**
 * Rows per second of `COPY … TO | COPY … FROM` in binary form, from the tenant's table into one with the same indexes in another
 * database; nothing else runs.
 *
 * @param sourceUrl administrator's, of the database of the rows
 * @param targetUrl administrator's, of another tenant's own database, whose table is emptied
 */
export async function copyBare(
  sourceUrl: string,
  targetUrl: string,
  { tenantId, table }: { tenantId: string; table: string },
): Promise<number> {
  return await asAdministrator(sourceUrl, (source) =>
    asAdministrator(targetUrl, async (target) => {
      // Rows of another tenant than the database's: its own check would refuse them.
      await target.query(`create table app.bare (like app.${table} including indexes)`)
      const columns = await columnsOf(source, table)
      const startedAtMs = performance.now()
      const writing = target.query(copyFrom(`copy app.bare (${columns}) from stdin (format binary)`))
      await pipeline(
        source.query(
          copyTo(
            `copy (select ${columns} from app.${table} where tenant_id = '${tenantId}') to stdout (format binary)`,
          ),
        ),
        writing,
      )
      const seconds = (performance.now() - startedAtMs) / 1000
      await target.query('drop table app.bare')
      return writing.rowCount / seconds
    }),
  )
}

async function columnsOf(client: pg.Client, table: string): Promise<string> {
  const { rows } = await client.query<{ columns: string }>(
    `select string_agg(quote_ident(attname), ', ' order by attname) as columns
       from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped`,
    [`app.${table}`],
  )
  return rows[0]?.columns ?? ''
}
