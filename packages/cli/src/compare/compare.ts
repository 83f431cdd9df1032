import type pg from 'pg'
import {
  type Catalog,
  type Constraint,
  isShared,
  quoted,
  type Relation,
  searchPath,
  tablesOf,
  viewsOf,
} from '../check/catalog.ts'
import type { Mapping } from '../check/mapping.ts'
import type { Original } from '../check/original.ts'
import type { TenantPlace } from '../check/places.ts'
import { connected } from '../check/stage.ts'
import type { Difference } from '../report.ts'
import { type Digest, digestRelation, digestView, type InTransaction, type Run, sqlState } from './digest.ts'
import { findViolation, orphanQuery, type Probe, planProbes } from './probes.ts'

/** What the original answers; each place has to answer the same. */
export interface Expectations {
  readonly tables: ReadonlyMap<string, Digest>
  /** Null for a view that answers differently each time. */
  readonly views: ReadonlyMap<string, string | null>
  readonly probes: readonly { readonly probe: Probe; readonly outcome: string }[]
}

const ACCEPTED = 'accepted'

export async function readExpectations(original: Original): Promise<Expectations> {
  return await connected(original.url, async (client) => {
    await client.query(`set search_path to ${searchPath(original.schemas)}`)
    const inTransaction = inTransactionOf(client)
    const tables = new Map<string, Digest>()
    for (const table of tablesOf(original.catalog)) {
      const rows = `${table.kind === 'r' ? 'only ' : ''}${quoted(table.schema, table.name)}`
      const columns = table.columns.map(({ name }) => name)
      tables.set(`${table.schema} ${table.name}`, await digestRelation(inTransaction, rows, columns))
    }
    const views = new Map<string, string | null>()
    for (const view of viewsOf(original.catalog)) {
      const digest = () => digestOf(inTransaction, view, quoted(view.schema, view.name))
      const first = await digest()
      views.set(`${view.schema} ${view.name}`, first === (await digest()) ? first : null)
    }
    const planned = await planProbes(original.catalog, (table, constraint) =>
      findViolation(client, table, constraint),
    )
    const probes = []
    for (const probe of planned) {
      probes.push({ probe, outcome: await attempt(inTransaction, probe.text(quoted)) })
    }
    return { tables, views, probes }
  })
}

/** Everything a tenant can see and do, as that tenant, through a sealed context; tells of each table and view it comes to. */
export async function compareTenant(
  original: Original,
  expectations: Expectations,
  place: TenantPlace,
  mapping: Mapping,
  onRelation: () => void,
): Promise<{ rows: number; tables: number; differences: Difference[] }> {
  const asTenant: InTransaction = (work) =>
    place.handle.transaction((transaction) => work((text) => transaction.query(text)))
  const nameOf = (schema: string, name: string) => quoted(place.schema, mapping.relation(schema, name))
  const differences: Difference[] = []
  const report = (difference: Difference) => differences.push({ ...difference, tenant: place.key })
  let rows = 0
  let tables = 0
  for (const table of tablesOf(original.catalog)) {
    onRelation()
    const copy = mapping.findRelation(table)
    const expected = expectations.tables.get(`${table.schema} ${table.name}`)
    if (!copy || !expected) continue
    const kept = new Set(copy.columns.map(({ name }) => name))
    const columns = table.columns.map(({ name }) => name)
    // A lost column is reported already; the digest of the others would say nothing.
    if (columns.some((name) => !kept.has(name))) continue
    tables += 1
    const object = `${table.schema}.${table.name}`
    const found = await digestRelation(asTenant, nameOf(table.schema, table.name), columns).catch(sqlState)
    if (typeof found === 'string') report({ kind: 'rows', object, expected: describe(expected), found })
    else {
      rows += found.rows
      if (describe(found) !== describe(expected))
        report({ kind: 'rows', object, expected: describe(expected), found: describe(found) })
    }
  }
  for (const view of viewsOf(original.catalog)) {
    onRelation()
    const expected = expectations.views.get(`${view.schema} ${view.name}`)
    if (!mapping.findRelation(view) || !expected) continue
    const name = nameOf(view.schema, view.name)
    const found = await digestOf(asTenant, view, name)
    if (found === expected || (await isReordered(original, view, asTenant, name, [expected, found]))) continue
    report({ kind: 'view', object: `${view.schema}.${view.name}`, expected, found })
  }
  await compareOrphans(original.catalog, { asTenant, mapping, nameOf, report })
  await compareProbes(expectations, { asTenant, mapping, nameOf, report })
  return { rows, tables, differences }
}

interface Comparison {
  readonly asTenant: InTransaction
  readonly mapping: Mapping
  readonly nameOf: (schema: string, name: string) => string
  readonly report: (difference: Difference) => void
}

async function compareOrphans(catalog: Catalog, comparison: Comparison): Promise<void> {
  const { asTenant, mapping, nameOf, report } = comparison
  const references = catalog.constraints.filter(
    (constraint) => constraint.type === 'f' && constraint.validated && mapping.findConstraint(constraint),
  )
  for (const constraint of references) {
    const found = await asTenant(async (run) => {
      const { rows } = await run(orphanQuery(constraint, nameOf))
      return `${rows[0]?.rows} rows that refer to nothing`
    }).catch(sqlState)
    const expected = '0 rows that refer to nothing'
    if (found !== expected) report({ kind: 'orphan', object: objectOf(constraint), expected, found })
  }
}

async function compareProbes({ probes }: Expectations, comparison: Comparison): Promise<void> {
  const { asTenant, mapping, nameOf, report } = comparison
  for (const { probe, outcome } of probes) {
    if (!isComparable(probe, mapping)) continue
    const text = probe.text(nameOf)
    const found = await attempt(asTenant, text)
    if (found !== outcome) report({ kind: 'probe', object: probe.object, expected: outcome, found })
  }
}

/** What a refused object was to enforce, or to do to a row, happens no more. */
function isComparable({ table, parent, needs }: Probe, mapping: Mapping): boolean {
  const copy = mapping.findRelation(table)
  if (!copy || (parent && !mapping.findRelation(parent))) return false
  // Whatever it says of a write, a tenant has no right to one.
  if (isShared(copy)) return false
  const name = mapping.relation(table.schema, table.name)
  return !mapping.isRefused(...needs.map((part) => `${name}.${part}`)) && !mapping.hasRefusedTrigger(name)
}

class Undone extends Error {}

/** Tries a statement and undoes it: whether it was accepted, or the SQLSTATE it failed with. */
async function attempt(inTransaction: InTransaction, text: string): Promise<string> {
  return await inTransaction(async (run) => {
    await run('set constraints all immediate')
    await run(text)
    throw new Undone()
  }).catch((error: unknown) => (error instanceof Undone ? ACCEPTED : sqlState(error)))
}

function inTransactionOf(client: pg.Client): InTransaction {
  const run: Run = (text) => client.query(text)
  return async (work) => {
    await client.query('begin')
    try {
      return await work(run)
    } finally {
      await client.query('rollback')
    }
  }
}

async function digestOf(
  inTransaction: InTransaction,
  { columns }: Relation,
  name: string,
  order: Parameters<typeof digestView>[3] = 'natural',
): Promise<string> {
  return await digestView(
    inTransaction,
    name,
    columns.map((column) => column.name),
    order,
  )
}

/** Whether the two sides answer alike when they, or one of them, read in the other order: rarely asked, often slow. */
async function isReordered(
  original: Original,
  view: Relation,
  asTenant: InTransaction,
  name: string,
  [expected, found]: readonly [string, string],
): Promise<boolean> {
  const other = await digestOf(asTenant, view, name, 'physical')
  if (other === expected) return true
  const originals = await connected(original.url, async (client) => {
    await client.query(`set search_path to ${searchPath(original.schemas)}`)
    return await digestOf(inTransactionOf(client), view, quoted(view.schema, view.name), 'physical')
  })
  return originals === found || originals === other
}

function describe({ rows, digest }: Digest): string {
  return `${rows} rows, digest ${digest}`
}

function objectOf({ schema, table, name }: Constraint): string {
  return `${schema}.${table}.${name}`
}
