import { parseSync, SqlError } from 'libpg-query'
import type pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { inTransaction } from '../in-transaction.ts'
import { completeLayout, type Wall } from '../layout/compile.ts'
import { fitMigration } from '../layout/fit.ts'
import { placeSearchPath } from '../layout/migrator.ts'
import { recordStatements } from './blueprint.ts'
import type { MigrationFile } from './files.ts'

/** The place whose tables are to be brought up to date. */
export interface MigrationTarget {
  /** Of the database; for messages. */
  readonly databaseName: string
  readonly schema: string
  readonly wall: Wall
}

/**
 * Applies what is pending in one place, in one transaction: after it every migration is there, or none is. In a place
 * that has some already, a file that adds a value to an enum is the last one of its transaction.
 * The author's SQL runs as quickscale_migrator; what it made is completed before the next file is read, so that a
 * place that followed along and a new one end in the same shape.
 *
 * @param client an administrator's connection to the database
 * @param statements where to note what was changed, for a blueprint
 * @returns how many migrations were applied
 * @throws QuickScaleError `MIGRATION_FAILED`, `MIGRATION_CHANGED`, `LAYOUT_REFUSED`
 */
export async function applyMigrations(
  client: pg.ClientBase,
  target: MigrationTarget,
  files: readonly MigrationFile[],
  statements: string[] = [],
): Promise<number> {
  let applied = 0
  for (let unfinished = true; unfinished; ) {
    unfinished = await inTransaction(client, async () => {
      await client.query('select quickscale.enter_unscoped()')
      await client.query("select pg_advisory_xact_lock(hashtextextended('quickscale migrate ' || $1, 0))", [
        target.schema,
      ])
      const pending = await findPending(client, target, files)
      const isNew = pending.length === files.length
      const batch = isNew ? pending : pending.slice(0, pending.findIndex(addsEnumValue) + 1 || pending.length)
      const recording = recordStatements(client, statements)
      for (const file of batch) await applyOne(recording, target, file, file !== batch.at(-1))
      applied += batch.length
      return batch.length < pending.length
    })
  }
  return applied
}

/** Such a value cannot be used before its transaction has ended, unless its type was made in it. */
function addsEnumValue({ text }: MigrationFile): boolean {
  try {
    return (parseSync(text).stmts ?? []).some(
      ({ stmt }) => stmt !== undefined && 'AlterEnumStmt' in stmt && stmt.AlterEnumStmt.oldVal === undefined,
    )
  } catch (error) {
    // Said with the name of the file when its turn comes.
    if (error instanceof SqlError) return false
    throw error
  }
}

/** Digests of the migrations that a place has, by name. */
export async function appliedMigrations(
  client: pg.ClientBase,
  target: MigrationTarget,
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; digest: string }>(
    'select name, digest from quickscale.migration where schema_name = $1 order by name',
    [target.schema],
  )
  return new Map(rows.map((row) => [row.name, row.digest]))
}

async function findPending(
  client: pg.ClientBase,
  target: MigrationTarget,
  files: readonly MigrationFile[],
): Promise<MigrationFile[]> {
  const applied = await appliedMigrations(client, target)
  for (const file of files) {
    const digest = applied.get(file.name)
    if (digest !== undefined && digest !== file.digest) {
      throw new QuickScaleError('MIGRATION_CHANGED', { migration: file.name, place: placeName(target) })
    }
  }
  return files.filter((file) => !applied.has(file.name))
}

async function applyOne(
  client: pg.ClientBase,
  target: MigrationTarget,
  file: MigrationFile,
  unfinished: boolean,
): Promise<void> {
  await runMigration(client, target, file, unfinished)
  await client.query('insert into quickscale.migration (schema_name, name, digest) values ($1, $2, $3)', [
    target.schema,
    file.name,
    file.digest,
  ])
}

/**
 * Runs one migration in the caller's transaction and completes what it made, without recording it.
 *
 * @param unfinished another one follows in the transaction: what the last one finds is what counts
 */
export async function runMigration(
  client: pg.ClientBase,
  target: MigrationTarget,
  file: MigrationFile,
  unfinished: boolean,
): Promise<void> {
  try {
    assertRunsInTransaction(file.text)
    const { schema, wall } = target
    const text = await fitMigration(client, { schema, wall, sql: file.text })
    await client.query(
      `set local role quickscale_migrator; set local search_path to ${placeSearchPath(schema)}`,
    )
    await client.query(text)
    await client.query('reset role; reset search_path')
    await completeLayout(client, { schema, wall, unfinished })
  } catch (cause) {
    if (cause instanceof QuickScaleError && cause.code === 'LAYOUT_REFUSED') throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new QuickScaleError(
      'MIGRATION_FAILED',
      { migration: file.name, place: placeName(target), reason },
      { cause },
    )
  }
}

/** A COMMIT in the middle would keep half of a migration; another role would own what is made. */
function assertRunsInTransaction(text: string): void {
  const { stmts = [] } = parseSync(text)
  for (const { stmt } of stmts) {
    if (stmt === undefined) continue
    if ('TransactionStmt' in stmt)
      throw new Error('a migration is one transaction already; remove BEGIN and COMMIT')
    if ('VariableSetStmt' in stmt && /^(role|session_authorization)$/.test(stmt.VariableSetStmt.name ?? '')) {
      throw new Error('a migration must not change its role')
    }
  }
}

function placeName(target: MigrationTarget): string {
  return `${target.databaseName}.${target.schema}`
}
