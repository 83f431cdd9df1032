import type { Adoption } from '@quickscale/tenancy/layout'
import pg from 'pg'
import type { Refusal } from '../report.ts'
import type { Catalog, Constraint, Index, Relation } from './catalog.ts'
import type { Blank } from './original.ts'

/** Where the original's objects are in a place, and what is knowingly absent. */
export interface Mapping {
  /** Name in the place of a relation of the original. */
  relation(schema: string, name: string): string
  index(schema: string, name: string): string
  /** Text of PostgreSQL's about the original, with the names that types and functions have in the place. */
  renamedIn(text: string): string
  findRelation(relation: Pick<Relation, 'schema' | 'name'>): Relation | undefined
  findConstraint(constraint: Constraint): Constraint | undefined
  findIndex(index: Index): Index | undefined
  /** Whether an object is among the refused ones; by the names that refusals use. */
  isRefused(...names: string[]): boolean
  /** Whether something that acted on the rows of a table of the place is not there any more. */
  hasRefusedTrigger(table: string): boolean
  /** The same, over the place as it is at another time. */
  over(place: Catalog): Mapping
}

export function createMapping(
  place: Catalog,
  adoption: Adoption,
  blank: Blank,
  extra: readonly Refusal[],
): Mapping {
  const blankOf = new Map(blank.schemas.map((schema) => [schema.original, schema.blank]))
  const renamed = new Map(adoption.renamed.map((item) => [`${item.schema} ${item.name}`, item.to]))
  const nameOf = (schema: string, name: string) =>
    renamed.get(`${blankOf.get(schema) ?? schema} ${name}`) ?? name
  const originalOf = new Map(blank.schemas.map((schema) => [schema.blank, schema.original]))
  const replacements = adoption.renamed
    .filter(({ kind }) => kind === 'type' || kind === 'function')
    .map(({ schema, name, to }) => {
      const written = [originalOf.get(schema) ?? schema, name].map(anyQuoting).join('\\.')
      return [
        new RegExp(`(?<![\\w".])${written}(?![\\w"])`, 'g'),
        pg.escapeIdentifier(to).replace(/^"([a-z_][a-z0-9_]*)"$/, '$1'),
      ] as const
    })
  const relations = new Map(place.relations.map((relation) => [relation.name, relation]))
  const constraints = new Map(place.constraints.map((item) => [`${item.table} ${item.name}`, item]))
  const indexes = new Map(place.indexes.map((index) => [index.name, index]))
  const refusals = [...adoption.refused, ...extra]
  const refused = new Set(refusals.map(({ object }) => object))
  const acting = refusals.filter(({ kind }) => kind === 'trigger' || kind === 'rule')
  return {
    over: (changed) => createMapping(changed, adoption, blank, extra),
    relation: nameOf,
    index: nameOf,
    renamedIn: (text) => replacements.reduce((written, [from, to]) => written.replace(from, to), text),
    findRelation: ({ schema, name }) => relations.get(nameOf(schema, name)),
    findConstraint: ({ schema, table, name }) => {
      const on = nameOf(schema, table)
      // The key of a renamed index has its name.
      return constraints.get(`${on} ${name}`) ?? constraints.get(`${on} ${nameOf(schema, name)}`)
    },
    findIndex: ({ schema, name }) => indexes.get(nameOf(schema, name)),
    isRefused: (...names) => names.some((name) => refused.has(name)),
    hasRefusedTrigger: (table) =>
      acting.some(
        ({ object }) =>
          object.startsWith(`${table}.`) ||
          object.endsWith(` on ${table}`) ||
          object.endsWith(` on ${pg.escapeIdentifier(table)}`),
      ),
  }
}

/** Matches a name as PostgreSQL writes it, which quotes only where it has to. */
function anyQuoting(name: string): string {
  const pattern = (text: string) => text.replace(/[^\w"]/g, '\\$&')
  return `(?:${pattern(name)}|${pattern(pg.escapeIdentifier(name))})`
}
