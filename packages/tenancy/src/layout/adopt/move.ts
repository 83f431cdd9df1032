import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { MIGRATOR_ROLE } from '../shape.ts'
import { unreserved } from './reserved-names.ts'

const movable = readFileSync(new URL('../../../sql/layout/movable.sql', import.meta.url), 'utf8')

const NAME_BYTES_MAX = 63

/** An object that got another name, because its own is taken by one of another schema, or kept for the layout's. */
export interface Renamed {
  readonly kind: string
  readonly schema: string
  readonly name: string
  readonly to: string
}

interface Movable {
  readonly schema: string
  readonly kind: string
  /** Qualified and quoted, with argument types where there are some. */
  readonly identity: string
  /** Null for what PostgreSQL does not find by its name alone, as operators. */
  readonly name: string | null
  readonly arguments: string | null
  readonly indexes: readonly string[]
  readonly sequences: readonly string[]
}

/** PostgreSQL's word for a kind in ALTER, where it is not the one pg_identify_object() gives. */
const alterWords: Readonly<Record<string, string>> = {
  view: 'table',
  'materialized view': 'table',
  'foreign table': 'table',
  sequence: 'table',
  'composite type': 'type',
  function: 'routine',
  procedure: 'routine',
  aggregate: 'routine',
  'statistics object': 'statistics',
}
const ownerless = new Set(['text search parser', 'text search template'])

/** Moves everything in `from` to `schema` and gives it to quickscale_migrator, as if a migration had made it there. */
export async function moveObjects(
  client: pg.ClientBase,
  { from, schema }: { from: readonly string[]; schema: string },
): Promise<Renamed[]> {
  const { rows } = await client.query<Movable>(movable, [from])
  const taken = new Names(await namesIn(client, schema))
  const renamed: Renamed[] = []
  const statements: string[] = []
  for (const object of rows) {
    const renames = [
      ...object.indexes.map((name) => ({ kind: 'index', name, keyOf: asIs })),
      ...object.sequences.map((name) => ({ kind: 'sequence', name, keyOf: asIs })),
      { kind: object.kind, name: object.name, keyOf: (name: string) => keyOf(object, name) },
    ].flatMap(({ kind, name, keyOf }) => {
      if (name === null) return []
      const to = taken.claim(object.schema, name, keyOf)
      return to === name ? [] : [{ kind, schema: object.schema, name, to }]
    })
    for (const rename of renames) statements.push(renameStatement(object, rename))
    const own = renames.find(({ kind, name }) => kind === object.kind && name === object.name)
    statements.push(...moveStatements(object, schema, own?.to ?? null))
    renamed.push(...renames)
  }
  if (statements.length > 0) await client.query(statements.join(';\n'))
  return renamed
}

function renameStatement(object: Movable, { kind, name, to }: Renamed): string {
  const target = quoteIdentifier(to)
  if (kind === object.kind && name === object.name)
    return `alter ${wordOf(object)} ${object.identity} rename to ${target}`
  return `alter ${kind} ${quoteQualified(object.schema, name)} rename to ${target}`
}

function moveStatements(object: Movable, schema: string, newName: string | null): string[] {
  const word = wordOf(object)
  // The rename has changed the identity: only its name, which comes first, is another one.
  const identity = newName === null ? object.identity : renamedIdentity(object, newName)
  const moved = `${quoteIdentifier(schema)}${identity.slice(schemaLength(object))}`
  return [
    `alter ${word} ${identity} set schema ${quoteIdentifier(schema)}`,
    ...(ownerless.has(object.kind) ? [] : [`alter ${word} ${moved} owner to ${MIGRATOR_ROLE}`]),
  ]
}

function wordOf({ kind }: Movable): string {
  return alterWords[kind] ?? kind
}

function schemaLength({ identity, schema }: Movable): number {
  const quoted = quoteIdentifier(schema)
  return identity.startsWith(quoted) ? quoted.length : schema.length
}

function renamedIdentity(object: Movable, newName: string): string {
  const name = object.name ?? ''
  const quoted = quoteIdentifier(name)
  const start = schemaLength(object) + 1
  const length = object.identity.startsWith(quoted, start) ? quoted.length : name.length
  return `${object.identity.slice(0, start)}${quoteIdentifier(newName)}${object.identity.slice(start + length)}`
}

/** Relations and types share their names; routines are told apart by their arguments, the rest by their kind. */
function keyOf(object: Movable, name: string): string {
  if (object.arguments !== null) return `${name}(${object.arguments})`
  const shared = ['table', 'type', 'composite type'].includes(wordOf(object))
  return shared ? name : `${object.kind} ${name}`
}

function asIs(name: string): string {
  return name
}

async function namesIn(client: pg.ClientBase, schema: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select relname::text as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace where nspname = $1
     union select concat(proname, '(', proargtypes, ')') from pg_proc
             join pg_namespace on pg_namespace.oid = pronamespace where nspname = $1`,
    [schema],
  )
  return rows.map(({ name }) => name)
}

class Names {
  readonly #taken: Set<string>

  constructor(taken: readonly string[]) {
    this.#taken = new Set(taken)
  }

  /** The name itself, own_name for one of the layout's, or the first of schema_name, schema_name_2, … that is free. */
  claim(schema: string, name: string, keyOf: (name: string) => string): string {
    let candidate = shorten(unreserved(name), '')
    for (let attempt = 1; this.#taken.has(keyOf(candidate)); attempt += 1) {
      candidate = shorten(unreserved(`${schema}_${name}`), attempt === 1 ? '' : `_${attempt}`)
    }
    this.#taken.add(keyOf(candidate))
    return candidate
  }
}

/** Cut at a whole character, as PostgreSQL would, but leaving room for the number. */
function shorten(name: string, suffix: string): string {
  let kept = name
  while (Buffer.byteLength(kept) + suffix.length > NAME_BYTES_MAX) kept = [...kept].slice(0, -1).join('')
  return `${kept}${suffix}`
}
