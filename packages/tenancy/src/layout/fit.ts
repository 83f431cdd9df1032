import { parse, scan } from 'libpg-query'
import type pg from 'pg'
import { quoteQualified } from '../identifiers.ts'
import { columnList } from './compile/index-body.ts'
import { ensureExtension, ensureHelpers } from './extensions.ts'
import { planEdits } from './fit/edits.ts'
import { mayEvaluate, refuseEvaluated } from './fit/evaluated.ts'
import { planExtensions } from './fit/extensions.ts'
import { KnownTables } from './fit/known-tables.ts'
import { mayWriteRows, refuseSharedRows } from './fit/shared-rows.ts'
import { applyEdits, type SourceText } from './fit/source-text.ts'
import { refuseStatements } from './fit/statements.ts'
import { introspect } from './introspect.ts'
import { asMigrator } from './migrator.ts'
import { layoutRefused } from './refused.ts'
import type { Wall } from './shape.ts'
import { standInName } from './stand-in.ts'

/**
 * Makes a migration fit tables that are complete already, where one tenant's SQL cannot run as it is: `references
 * companies (id)` finds no such key any more, and a new `unique (email)` would be checked across tenants. A foreign
 * key is pointed to a stand-in, a table of just that key, which completeLayout() replaces by the real one; a new key
 * or index gets `tenant_id` at once, where the wall wants it. Extensions are made by the administrator. Only names and column lists are edited, at the parser's positions.
 *
 * @param client an administrator's connection in the transaction that the migration will run in; makes the stand-ins
 * @returns the SQL to run in place of `sql`; the same text when nothing had to change
 * @throws QuickScaleError `LAYOUT_REFUSED` when the text cannot be parsed, inserts rows of tenants, holds anonymous code, or when
 *   an index needs a name
 * @example await client.query(await fitMigration(client, { schema: 'app', wall: { kind: 'rls' }, sql }))
 */
export async function fitMigration(
  client: pg.ClientBase,
  options: { schema: string; wall: Wall; sql: string },
): Promise<string> {
  const { schema, wall, sql } = options
  const source = await read(sql)
  const extensions = planExtensions(source)
  const refusals = [...refuseStatements(source.statements), ...extensions.refusals]
  if (refusals.length > 0) throw layoutRefused(refusals)
  for (const name of extensions.wanted) await ensureExtension(client, name)
  // A first look without the database: most migrations only touch what they make themselves.
  if (
    !planEdits(source, KnownTables.any(schema), wall).touchesOthers &&
    !mayEvaluate(source) &&
    !mayWriteRows(source)
  )
    return applyEdits(source, extensions.edits)
  return await asMigrator(client, async () => {
    const shape = await introspect(client, schema)
    if (!shape) return applyEdits(source, extensions.edits)
    const plan = planEdits(source, KnownTables.of(shape), wall)
    const impossible = [
      ...plan.refusals,
      ...refuseEvaluated(source, shape),
      ...(await refuseSharedRows(client, source, shape)),
    ]
    if (impossible.length > 0) throw layoutRefused(impossible)
    await ensureHelpers(client, plan.helpers)
    const statements = [...plan.standIns.values()].flatMap(({ table, key, filled }) => {
      const name = quoteQualified(schema, standInName(table.oid, key.oid))
      const columns = columnList(key.columns).slice(1, -1)
      const rows = `select distinct ${columns} from ${quoteQualified(schema, table.name)}`
      return [
        `create table ${name} as ${rows} where (${columns}) is not null${filled ? '' : ' with no data'}`,
        `alter table ${name} add primary key (${columns}${key.temporal ? ' without overlaps' : ''})`,
      ]
    })
    if (statements.length > 0) await client.query(statements.join(';\n'))
    const fitted = applyEdits(source, [...plan.edits, ...extensions.edits])
    await read(fitted)
    return fitted
  })
}

async function read(sql: string): Promise<SourceText> {
  try {
    const [{ stmts = [] }, { tokens }] = await Promise.all([parse(sql), scan(sql)])
    const bytes = Buffer.from(sql)
    const present = stmts.flatMap(({ stmt, stmt_location: start = 0, stmt_len: length }) =>
      stmt === undefined
        ? []
        : [{ stmt, span: { start, end: length === undefined ? bytes.length : start + length } }],
    )
    return {
      bytes,
      statements: present.map(({ stmt }) => stmt),
      spans: present.map(({ span }) => span),
      tokens: tokens.filter(({ tokenName }) => !tokenName.endsWith('_COMMENT')),
    }
  } catch (error) {
    throw layoutRefused([
      {
        kind: 'migration',
        object: 'text',
        reason: error instanceof Error ? error.message : String(error),
        remedy: 'Correct the SQL.',
      },
    ])
  }
}
