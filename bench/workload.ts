import { createHash, randomUUID } from 'node:crypto'
import type { BenchTenant } from './installation.ts'
import type { PeerAnswer } from './peer.ts'

/** A statement as an application writes it: under a name, so that it is parsed and planned once per connection. */
export interface NamedStatement {
  readonly name: string
  readonly text: string
}

/** What one execution is about, drawn before the clock starts. */
export interface Target {
  readonly tenant: BenchTenant
  /** Number of one of the tenant's rows. */
  readonly row: number
}

/** One kind of query: what is sent, and what must come back. */
export interface Query {
  /** For tables that somebody else restricts to a tenant. */
  readonly scoped: NamedStatement
  /** For plain tables: the same, with a tenant predicate whose value is the last one. */
  readonly plain: NamedStatement
  values(target: Target): unknown[]
  /** @throws WrongTenant, Error when the answer is not this tenant's, or not the expected one */
  check(result: PeerAnswer, target: Target): void
}

export type QueryName = 'point' | 'page' | 'insert'

const columns = 'id, name, email, created_at, tenant_id'
const pageRows = 20

/** Ids are the same for all tenants: a row of another tenant would be found just as easily. */
function rowId(row: number): string {
  const digest = createHash('md5').update(`contact ${row}`).digest('hex')
  return digest.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

const generated = `md5('contact ' || row)::uuid, 'Contact ' || row, 'contact' || row || '@example.com',
                   timestamptz '2026-01-01 00:00:00+00' + row * interval '1 minute'`

/** Gives a tenant the rows that the queries expect, later ones younger; $1 is their number. */
export function fillStatement(table: 'contact' | 'message'): string {
  return `insert into ${table} (id, name, email, created_at)
            select ${generated} from generate_series(0, $1::integer - 1) as row`
}

/** The same for all of the tenants $2, past every wall. */
export const fillAllStatement = `insert into app.contact (id, name, email, created_at, tenant_id)
  select ${generated}, tenant_id from unnest($2::uuid[]) as tenant_id, generate_series(0, $1::integer - 1) as row`

/** @param rows how many rows of `contact` each tenant has */
export function defineQueries(rows: number): Readonly<Record<QueryName, Query>> {
  const ids = Array.from({ length: rows }, (_, row) => rowId(row))
  const newest = ids.slice(-pageRows).reverse()
  const point = `select ${columns} from contact where id = $1`
  const order = `order by created_at desc, id desc limit ${pageRows}`
  return {
    point: {
      scoped: { name: 'point', text: point },
      plain: { name: 'point', text: `${point} and tenant_id = $2` },
      values: ({ row }) => [ids[row]],
      check: (result, { tenant, row }) => expectRows(result, tenant, [ids[row] ?? '']),
    },
    page: {
      scoped: { name: 'page', text: `select ${columns} from contact ${order}` },
      plain: { name: 'page', text: `select ${columns} from contact where tenant_id = $1 ${order}` },
      values: () => [],
      check: (result, { tenant }) => expectRows(result, tenant, newest),
    },
    insert: {
      scoped: { name: 'insert', text: 'insert into message (id, name, email) values ($1, $2, $3)' },
      plain: {
        name: 'insert',
        text: 'insert into message (id, name, email, tenant_id) values ($1, $2, $3, $4)',
      },
      values: ({ row }) => [randomUUID(), `Contact ${row}`, 'contact@example.com'],
      check: (result, { tenant }) => {
        if (result.rowCount !== 1) throw new Error(`${tenant.slug}: ${result.rowCount} rows inserted`)
      },
    },
  }
}

/** An answer with a row of another tenant. */
export class WrongTenant extends Error {}

function expectRows(result: PeerAnswer, tenant: BenchTenant, ids: readonly string[]): void {
  const { rows } = result
  if (rows.some((row) => row.tenant_id !== tenant.id)) {
    throw new WrongTenant(`${tenant.slug}: a row of another tenant`)
  }
  if (rows.length !== ids.length)
    throw new Error(`${tenant.slug}: ${rows.length} rows instead of ${ids.length}`)
  for (let index = 0; index < ids.length; index += 1) {
    if (rows[index].id !== ids[index]) throw new Error(`${tenant.slug}: row ${index} is not the expected one`)
  }
}
