import { readFileSync } from 'node:fs'
import { loadModule } from 'libpg-query'
import type pg from 'pg'
import { quoteLiteral, quoteQualified } from '../identifiers.ts'
import { PRINTING_PATH, placeSearchPath } from './migrator.ts'
import {
  type Column,
  type Constraint,
  type Index,
  MIGRATOR_ROLE,
  OWNER_ROLE,
  type Policy,
  type Relation,
  type Sequence,
  type Shape,
  type StandIn,
  type State,
  type Table,
  type View,
} from './shape.ts'
import { standsFor } from './stand-in.ts'

const introspection = readFileSync(new URL('../../sql/layout/introspect.sql', import.meta.url), 'utf8')

// A migration is read two or three times, over one connection, and PostgreSQL takes longer to plan this query than to
// answer it for most schemas: it is planned once.
const NAME = 'quickscale_introspection'
const PREPARE = `prepare ${NAME} (text) as ${introspection}`

type Part<Fact> = Fact & { readonly relid: string }
type BareSequence = Omit<Sequence, 'persistence' | 'grants'>

interface Row {
  readonly schema: Shape['schema'] | null
  readonly relations: readonly (Omit<Relation, 'columns'> & Pick<Table, 'shared' | 'appendOnly'>)[]
  readonly columns: readonly Part<Column>[]
  readonly constraints: readonly Part<Constraint>[]
  readonly indexes: readonly Part<Index>[]
  readonly sequences: readonly BareSequence[]
  readonly policies: readonly Part<Policy>[]
  readonly views: readonly Part<Pick<View, 'readsOutside' | 'usesSequence' | 'reliesOnKeys'>>[]
  readonly types: Shape['types']
  readonly routines: Shape['routines']
  readonly triggers: Shape['triggers']
  readonly strangers: Shape['strangers']
  readonly outsiders: Shape['outsiders']
  readonly defaultGrants: number
}

/** Reads the shape of a schema in one query; undefined when there is no such schema. */
export async function introspect(client: pg.ClientBase, schema: string): Promise<Shape | undefined> {
  await prepareIntrospection(client)
  const { rows } = await client.query<Row>(`execute ${NAME} (${quoteLiteral(schema)})`)
  const row = rows[0]
  if (row?.schema == null) return undefined
  // The scanner that reads their bodies.
  if (row.routines.length > 0) await loadModule()
  const columns = byRelation(row.columns)
  const constraints = byRelation(row.constraints)
  const indexes = byRelation(row.indexes)
  const policies = byRelation(row.policies)
  const views = byRelation(row.views)

  const relations = row.relations.map((relation) => ({
    ...relation,
    columns: columns.get(relation.oid) ?? [],
  }))
  const tables = relations.filter(({ kind }) => kind === 'r' || kind === 'p')
  const names = new Map(tables.map(({ oid, name }) => [oid, name]))
  const standIns = tables.filter(isStandIn)
  return {
    schema: row.schema,
    tables: tables
      .filter((relation) => !isStandIn(relation))
      .map((relation) => ({
        ...relation,
        known: relation.owner === OWNER_ROLE,
        constraints: constraints.get(relation.oid) ?? [],
        indexes: indexes.get(relation.oid) ?? [],
        policies: policies.get(relation.oid) ?? [],
      })),
    views: relations
      .filter(({ kind }) => kind === 'v')
      .map((relation) => ({
        ...relation,
        ...(views.get(relation.oid)?.[0] ?? { readsOutside: [], usesSequence: false, reliesOnKeys: [] }),
      })),
    sequences: row.sequences.map((sequence) => withRelation(sequence, relations)),
    standIns: standIns.map(
      ({ oid, name }): StandIn => ({ oid, name, original: names.get(standsFor(name) ?? '') }),
    ),
    types: row.types,
    routines: row.routines,
    triggers: row.triggers,
    strangers: row.strangers,
    outsiders: row.outsiders,
    defaultGrants: row.defaultGrants,
  }
}

/**
 * A migration may deallocate statements and prepare its own: the one of our name counts only while its text is ours.
 * The parameters, none or not, keep the statements out of a blueprint.
 */
async function prepareIntrospection(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ ours: boolean }>(
    'select statement = $1 as ours from pg_catalog.pg_prepared_statements where name = $2',
    [PREPARE, NAME],
  )
  if (rows[0]?.ours === true) return
  if (rows.length > 0) await client.query(`deallocate ${NAME}`, [])
  await client.query(PREPARE, [])
}

/** Reads, in one round trip, whether new tables hold rows and where the sequences of serial columns stand. */
export async function introspectState(client: pg.ClientBase, shape: Shape): Promise<State> {
  const { name: schema } = shape.schema
  const tables = shape.tables.filter(({ known }) => !known)
  const sequences = shape.sequences.filter(({ identity, tableOid }) => !identity && tableOid !== null)
  const probes = [
    ...tables.map(({ name }) => `(select exists (select from ${quoteQualified(schema, name)})::text)`),
    ...sequences.map(
      ({ name }) => `(select concat(last_value, '|', is_called) from ${quoteQualified(schema, name)})`,
    ),
  ]
  if (probes.length === 0) return { filled: new Set(), positions: new Map() }
  // Reading a table plans the expressions of its indexes, with bodies of functions that name others as their author did.
  if (shape.routines.length > 0) await client.query(`set local search_path to ${placeSearchPath(schema)}`)
  const { rows } = await client.query<{ found: readonly string[] }>(
    `select array[${probes.join(', ')}] as found`,
  )
  if (shape.routines.length > 0) await client.query(PRINTING_PATH)
  const found = rows[0]?.found ?? []
  return {
    filled: new Set(tables.filter((_, index) => found[index] !== 'false').map(({ name }) => name)),
    positions: new Map(
      sequences.map(({ name }, index) => {
        const [last = '', called = ''] = (found[tables.length + index] ?? '').split('|')
        return [name, { last, called: called === 't' }]
      }),
    ),
  }
}

function isStandIn({ name, owner }: { name: string; owner: string }): boolean {
  return owner === MIGRATOR_ROLE && standsFor(name) !== undefined
}

function withRelation(sequence: BareSequence, relations: readonly Relation[]): Sequence {
  const relation = relations.find(({ oid }) => oid === sequence.oid)
  return { ...sequence, persistence: relation?.persistence ?? 'p', grants: relation?.grants ?? [] }
}

function byRelation<Fact extends { readonly relid: string }>(facts: readonly Fact[]): Map<string, Fact[]> {
  const groups = new Map<string, Fact[]>()
  for (const fact of facts) {
    const group = groups.get(fact.relid)
    if (group) group.push(fact)
    else groups.set(fact.relid, [fact])
  }
  return groups
}
