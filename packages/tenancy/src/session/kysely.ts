import { Kysely, PostgresDialect, type PostgresPool, PostgresQueryCompiler } from 'kysely'

// Compiling is synchronous and begins by forgetting what was compiled before; a compiler of its own, a hundred closures, would cost
// each request more than compiling its statement.
const compiler = new PostgresQueryCompiler()

class SharingDialect extends PostgresDialect {
  override createQueryCompiler(): PostgresQueryCompiler {
    return compiler
  }
}

/** A Kysely over anything that hands out connections as pg's Pool does; cheap enough for each request to have one. */
export function kyselyOver<DB>(source: Pick<PostgresPool, 'connect'>): Kysely<DB> {
  const pool: PostgresPool = { connect: () => source.connect(), end: async () => undefined, options: {} }
  return new Kysely<DB>({ dialect: new SharingDialect({ pool }) })
}
