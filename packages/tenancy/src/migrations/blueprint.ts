import pg from 'pg'
import { quoteIdentifier, quoteLiteral, tenantSchemaName } from '../identifiers.ts'
import { introspect } from '../layout/introspect.ts'
import type { MigrationFile } from './files.ts'
import { digestSharedTables } from './shared-rows.ts'

// A place of a tenant's own is made by replaying every migration and completing what it made: fifteen round trips per
// file, most of them questions. The answers are the same every time, so what the first place was told is kept as one
// text, and the next place is told that.

/** The tenant's own place that a blueprint is recorded in, or made for. */
export interface OwnPlace {
  readonly schema: string
  readonly tenantId: string
}

/** What an empty schema has to be told to become what the migrations make of it. */
export interface Blueprint {
  /** Of the migrations it stands for; another set of them needs another blueprint. */
  readonly key: string
  /**
   * The statements for a place, in one string, to be sent as the administrator in a transaction; null when replaying
   * gives another shape than the migrations, which then depend on something that only they know.
   */
  textFor(place: OwnPlace): string | null
}

export function blueprintKey(files: readonly MigrationFile[]): string {
  return files.map(({ name, digest }) => `${name} ${digest}`).join('\n')
}

/**
 * A client that notes what changes something. A SELECT that returns rows has only asked; what has parameters is repeated
 * by whoever replays.
 */
export function recordStatements(client: pg.ClientBase, statements: string[]): pg.ClientBase {
  const query = async (text: string, values?: unknown[]) => {
    const result = await client.query(text, values)
    const asked = !Array.isArray(result) && result.command === 'SELECT' && result.fields.length > 0
    if (values === undefined && !asked) statements.push(text)
    return result
  }
  return Object.create(client, { query: { value: query } })
}

/**
 * Makes a blueprint of what was recorded while a place was made, and tries it: another place made from it must have the
 * same shape.
 *
 * @param client an administrator's connection to the database of that place, in no transaction
 */
export async function drawBlueprint(
  client: pg.ClientBase,
  place: OwnPlace,
  files: readonly MigrationFile[],
  statements: readonly string[],
): Promise<Blueprint> {
  const recorded = statements.join(SEPARATOR)
  const textFor = (other: OwnPlace) =>
    recorded.replaceAll(place.schema, other.schema).replaceAll(place.tenantId, other.tenantId)
  const tenantId = crypto.randomUUID()
  const trial = { schema: tenantSchemaName(tenantId), tenantId }
  const proven = await isSameShape(client, place, trial, textFor(trial))
  return { key: blueprintKey(files), textFor: proven ? textFor : () => null }
}

async function isSameShape(
  client: pg.ClientBase,
  place: OwnPlace,
  trial: OwnPlace,
  text: string,
): Promise<boolean> {
  await client.query('begin')
  try {
    await client.query(createPlaceSchema(trial.schema))
    await client.query(text)
    return (await describeShape(client, trial)) === (await describeShape(client, place))
  } catch (error) {
    // What cannot be replayed is no blueprint; the migrations themselves have just worked.
    if (error instanceof pg.DatabaseError) return false
    throw error
  } finally {
    await client.query('rollback')
  }
}

/** An empty schema for a tenant's tables. */
export function createPlaceSchema(schema: string): string {
  const name = quoteIdentifier(schema)
  return `create schema if not exists ${name} authorization quickscale_owner;
    grant usage, create on schema ${name} to quickscale_migrator`
}

/** Everything the layout knows of a place, without what differs between two places of one shape. */
async function describeShape(client: pg.ClientBase, place: OwnPlace): Promise<string> {
  const shape = await introspect(client, place.schema)
  const rows = await digestSharedTables(client, place.schema)
  const text = JSON.stringify({ shape, rows }, (field, value) =>
    /oid$|^relid$/i.test(field) ? undefined : value,
  )
  return text.replaceAll(place.schema, 'place').replaceAll(place.tenantId, 'tenant')
}

/**
 * Makes a place from a blueprint, in one transaction.
 *
 * @param around its first and its last statement, and what is waited for before that one
 * @returns false when there is something of the place already: then an earlier attempt was interrupted, and the
 *   migrations go on from there
 */
export async function replayBlueprint(
  client: pg.ClientBase,
  place: OwnPlace,
  blueprint: Blueprint,
  files: readonly MigrationFile[],
  around: { readonly first: string; readonly ready: () => Promise<void>; readonly last: string } | null,
): Promise<boolean> {
  const text = blueprint.textFor(place)
  if (text === null) return false
  const applied = files.map(
    ({ name, digest }) => `(${[place.schema, name, digest].map(quoteLiteral).join(', ')})`,
  )
  try {
    await client.query(
      [
        'begin',
        ...(around === null ? [] : [around.first]),
        'select quickscale.enter_unscoped()',
        createPlaceSchema(place.schema).replace('create schema if not exists', 'create schema'),
        text,
      ].join(SEPARATOR),
    )
    await around?.ready()
    await client.query(
      [
        `insert into quickscale.migration (schema_name, name, digest) values ${applied.join(', ')}`,
        ...(around === null ? [] : [around.last]),
        'commit',
      ].join(SEPARATOR),
    )
    return true
  } catch (error) {
    // On a dead connection there is nothing to roll back, and the first error is the one that matters.
    await client.query('rollback').catch(() => undefined)
    if (error instanceof pg.DatabaseError && error.code === schemaExists) return false
    throw error
  }
}

const schemaExists = '42P06'
/** On a line of its own: a migration may end with a comment. */
const SEPARATOR = '\n;\n'
