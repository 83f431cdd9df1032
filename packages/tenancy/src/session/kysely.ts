import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'

/** A Kysely over anything that hands out connections as pg's Pool does. */
export function kyselyOver<DB>(source: Pick<PostgresPool, 'connect'>): Kysely<DB> {
  const pool: PostgresPool = { connect: () => source.connect(), end: async () => undefined, options: {} }
  return new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
}
