import pg from 'pg'
import type { Catalog, Column, Constraint, Index, Relation, Sequence } from '../check/catalog.ts'
import { tablesOf, viewsOf } from '../check/catalog.ts'
import type { Mapping } from '../check/mapping.ts'
import type { Difference } from '../report.ts'

/** What the catalogs of the original and of a place say of the same objects. */
export interface Sides {
  readonly original: Catalog
  readonly place: Catalog
  readonly mapping: Mapping
}

const TENANT_COLUMN = 'tenant_id'

interface BareSides extends Sides {
  readonly bare: (text: string) => string
}

/** PostgreSQL qualifies what a built-in name hides: by another schema on each side, and there is one in a place. */
function withoutSchemas({ original, place }: Sides): (text: string) => string {
  const names = ['public', 'extensions', ...original.relations, ...place.relations].map((one) =>
    typeof one === 'string' ? one : one.schema,
  )
  const written = [...new Set(names)].flatMap((name) => [name, pg.escapeIdentifier(name)])
  const pattern = written.map((name) => name.replace(/[^\w"]/g, '\\$&')).join('|')
  const qualifier = new RegExp(`(?<![\\w".])(?:${pattern})\\.`, 'g')
  return (text) => text.replace(qualifier, '').replace(/OPERATOR\(([^\w()]+)\)/g, '$1')
}

/** Everything that can be seen without reading a row: relations, columns, constraints, indexes, sequences. */
export function compareStructure(given: Sides): Difference[] {
  const { original, mapping } = given
  const sides = { ...given, bare: withoutSchemas(given) }
  const tables = new Set(
    tablesOf(original)
      .filter((table) => mapping.findRelation(table))
      .map(({ schema, name }) => `${schema} ${name}`),
  )
  const present = ({ schema, table }: { schema: string; table: string }) => tables.has(`${schema} ${table}`)
  return [
    ...tablesOf(original).flatMap((table) => compareTable(table, sides)),
    ...viewsOf(original).flatMap((view) => compareView(view, sides)),
    ...original.constraints.filter(present).flatMap((constraint) => compareConstraint(constraint, sides)),
    ...original.indexes.filter(present).flatMap((index) => compareIndex(index, sides)),
    ...original.sequences.filter(present).flatMap((sequence) => compareSequence(sequence, sides)),
  ]
}

function compareTable(table: Relation, { mapping, bare }: BareSides): Difference[] {
  const object = `${table.schema}.${table.name}`
  const copy = mapping.findRelation(table)
  // A refused table is reported as refused, and is a loss all the same.
  if (!copy) return [{ kind: 'table', object, expected: 'an ordinary table', found: 'it could not be kept' }]
  const columns = new Map(copy.columns.map((column) => [column.name, column]))
  return table.columns.flatMap((column) => {
    const found = columns.get(column.name)
    const name = `${object}.${column.name}`
    if (!found)
      return [{ kind: 'column', object: name, expected: column.type, found: 'it could not be kept' }]
    if (mapping.isRefused(`${copy.name}.${column.name}`)) return []
    const expected = bare(mapping.renamedIn(describeColumn(column)))
    const actual = bare(describeColumn(found))
    return expected === actual ? [] : [{ kind: 'column', object: name, expected, found: actual }]
  })
}

/** serial and identity are one promise: a number when none is given. */
function describeColumn({ type, notNull, identity, generated, default: value }: Column): string {
  const counted = identity !== '' || value?.startsWith('nextval(') === true
  const origin = counted ? `numbered${identity === 'a' ? ' always' : ''}` : (value ?? 'no default')
  return `${type}${notNull ? ' not null' : ''}, ${generated === '' ? '' : 'generated as '}${origin}`
}

function compareView(view: Relation, { mapping, bare }: BareSides): Difference[] {
  const copy = mapping.findRelation(view)
  const object = `${view.schema}.${view.name}`
  if (!copy) {
    if (mapping.isRefused(mapping.relation(view.schema, view.name))) return []
    return [{ kind: 'view', object, expected: 'a view', found: 'nothing' }]
  }
  const describe = ({ columns }: Relation) => columns.map(({ name, type }) => `${name} ${type}`).join(', ')
  const expected = bare(mapping.renamedIn(describe(view)))
  const found = bare(describe(copy))
  return expected === found ? [] : [{ kind: 'view', object, expected, found }]
}

const constraintKinds: Readonly<Record<string, string>> = {
  p: 'primary key',
  u: 'unique',
  f: 'foreign key',
  c: 'check',
  x: 'exclude',
}

function compareConstraint(constraint: Constraint, { mapping, bare }: BareSides): Difference[] {
  const object = `${constraint.schema}.${constraint.table}.${constraint.name}`
  const expected = bare(
    mapping.renamedIn(describeConstraint(constraint, (schema, name) => mapping.relation(schema, name))),
  )
  const copy = mapping.findConstraint(constraint)
  const table = mapping.relation(constraint.schema, constraint.table)
  if (!copy) {
    const names = [constraint.name, mapping.index(constraint.schema, constraint.name)]
    if (mapping.isRefused(...names.flatMap((name) => [name, `${table}.${name}`]))) return []
    return [{ kind: 'constraint', object, expected, found: 'nothing' }]
  }
  const found = bare(describeConstraint(copy, (_, name) => name))
  return expected === found ? [] : [{ kind: 'constraint', object, expected, found }]
}

function describeConstraint(
  constraint: Constraint,
  nameOf: (schema: string, name: string) => string,
): string {
  const list = (columns: readonly string[]) =>
    `(${columns.filter((name) => name !== TENANT_COLUMN).join(', ')})`
  const { type, columns, parent, parentSchema, parentColumns, expression } = constraint
  const what =
    type === 'c'
      ? ` ${expression}`
      : type === 'f'
        ? ` ${list(columns)} references ${nameOf(parentSchema ?? '', parent ?? '')} ${list(parentColumns)} on update ${constraint.onUpdate} on delete ${constraint.onDelete}`
        : ` ${list(columns)}`
  const timing = constraint.deferred ? ' initially deferred' : constraint.deferrable ? ' deferrable' : ''
  const force = constraint.enforced ? (constraint.validated ? '' : ' not valid') : ' not enforced'
  return `${constraintKinds[type]}${what}${constraint.period ? ' period' : ''}${timing}${force}`
}

function compareIndex(index: Index, { mapping, bare }: BareSides): Difference[] {
  const object = `${index.schema}.${index.name}`
  const copy = mapping.findIndex(index)
  const name = mapping.index(index.schema, index.name)
  if (!copy) {
    const table = mapping.relation(index.schema, index.table)
    if (mapping.isRefused(name, `${table}.${name}`)) return []
    return [{ kind: 'index', object, expected: describeIndex(index), found: 'nothing' }]
  }
  const expected = bare(mapping.renamedIn(describeIndex(index)))
  const found = bare(describeIndex(copy))
  return expected === found ? [] : [{ kind: 'index', object, expected, found }]
}

function describeIndex({ method, unique, valid, nullsNotDistinct, keys, include, predicate }: Index): string {
  const own = keys.filter((key) => key !== TENANT_COLUMN)
  const parts = [
    unique ? 'unique' : '',
    method,
    `(${own.join(', ')})`,
    include.length > 0 ? `include (${include.join(', ')})` : '',
    nullsNotDistinct ? 'nulls not distinct' : '',
    predicate === null ? '' : `where ${predicate}`,
    valid ? '' : 'invalid',
  ]
  return parts.filter((part) => part !== '').join(' ')
}

function compareSequence(sequence: Sequence, { place, mapping }: Sides): Difference[] {
  const table = mapping.relation(sequence.schema, sequence.table)
  const object = `${sequence.schema}.${sequence.table}.${sequence.column}`
  const copy = place.sequences.find((item) => item.table === table && item.column === sequence.column)
  const expected = `${sequence.parameters}, at ${sequence.position}`
  if (!copy) {
    const refused = mapping.isRefused(`${table}.${sequence.column}`, sequence.sequence)
    return refused ? [] : [{ kind: 'sequence', object, expected, found: 'nothing' }]
  }
  const found = `${copy.parameters}, at ${copy.position}`
  return expected === found ? [] : [{ kind: 'sequence', object, expected, found }]
}
