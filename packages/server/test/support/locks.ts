import { setTimeout as sleep } from 'node:timers/promises'
import { type Kysely, sql } from 'kysely'
import { expect } from 'vitest'

/** Until somebody waits for an advisory lock of this database. */
export async function waitForAdvisoryLock(db: Kysely<unknown>): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const { rows } = await sql`select from pg_locks where locktype = 'advisory' and not granted
      and database = (select oid from pg_database where datname = current_database())`.execute(db)
    if (rows.length > 0) return
    await sleep(20)
  }
  expect.unreachable('nobody waits')
}
