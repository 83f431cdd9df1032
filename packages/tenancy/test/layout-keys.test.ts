import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findLayoutFaults, type Wall } from '../src/layout/compile.ts'
import { failureOf, LayoutDatabase, type TestPlace, type TestTenant } from './support/layout-database.ts'
import { shapeLines, snapshotOfShape } from './support/layout-snapshot.ts'

const TABLES = `
  create extension btree_gist;
  create table stays (id integer primary key, room integer, at int4range, spot circle, gone boolean not null default false);
  create table marks (line text, n integer);`
const EXCLUSIONS = [
  'alter table stays add constraint apart exclude using gist (room with =, at with &&) include (gone) where (not gone) deferrable initially deferred;',
  'alter table stays add exclude using gist (spot with &&, (room + 1) with <>);',
  'alter table stays add exclude using btree (lower(at) with =) with (fillfactor = 80);',
]
const TEMPORAL = [
  'create table prices (item text, during daterange, amount integer, constraint prices_pkey primary key (item, during without overlaps));',
  'create table sales (id integer primary key, item text, during daterange, foreign key (item, period during) references prices (item, period during));',
  'alter table sales add unique (id, during without overlaps);',
  'alter table sales add constraint loose check (id > 0) not enforced, add constraint looser foreign key (id) references sales (id) on delete set null not enforced;',
]

let database: LayoutDatabase
let version: number

beforeAll(async () => {
  database = await LayoutDatabase.open()
  const { rows } = await database.admin.query(
    `select current_setting('server_version_num')::integer / 10000 as version`,
  )
  version = rows[0].version
})
afterAll(async () => {
  await database.close()
})

async function inhabited(kind: Wall['kind'], sql: string) {
  const ids = [randomUUID(), randomUUID()]
  const wall = (tenantId: string): Wall => (kind === 'rls' ? { kind } : { kind, tenantId })
  const first = await database.place(wall(ids[0] ?? ''), sql)
  const second = kind === 'rls' ? first : await database.place(wall(ids[1] ?? ''), sql)
  const places = kind === 'rls' ? [first] : [first, second]
  const tenants: TestTenant[] = []
  for (const [at, id] of ids.entries()) tenants.push(await database.tenant(at === 0 ? first : second, id))
  return { first, places, tenants }
}

async function constraintsOf(place: TestPlace, table: string): Promise<string[]> {
  const lines = await shapeLines(database.admin, place, 'constraint')
  return lines.filter((line) => line.startsWith(`${table} `)).map((line) => line.slice(table.length + 1))
}

async function migrateAll(places: readonly TestPlace[], migrations: readonly string[]): Promise<void> {
  for (const place of places) for (const sql of migrations) await database.migrate(place, sql)
}

describe.each(['rls', 'schema', 'database'] as const)('under %s', (kind) => {
  const led = kind === 'database' ? '' : 'tenant_id WITH =, '
  const apart = kind === 'rls' ? 'tenant_id WITH =, ' : ''

  test('rows of one tenant exclude each other, never those of another, made at once or later', async () => {
    const { first, places, tenants } = await inhabited(kind, TABLES)
    for (const tenant of tenants)
      await tenant(`insert into stays values (1, 7, '[1,5)', '<(0,0),1>'), (2, 7, '[5,9)', '<(9,9),1>')`)
    await migrateAll(places, EXCLUSIONS)
    expect((await constraintsOf(first, 'stays')).filter((line) => line.includes('EXCLUDE'))).toEqual([
      `apart EXCLUDE USING gist (${apart}room WITH =, at WITH &&) INCLUDE (gone) WHERE ((NOT gone)) DEFERRABLE INITIALLY DEFERRED`,
      `stays_lower_excl EXCLUDE USING btree (${led}lower(at) WITH =) WITH (fillfactor='80')`,
      `stays_spot_expr_excl EXCLUDE USING gist (${apart}spot WITH &&, ((room + 1)) WITH <>)`,
    ])
    const atOnce = await database.place(first.wall, TABLES + EXCLUSIONS.join(''))
    expect(await snapshotOfShape(database.admin, first)).toEqual(
      await snapshotOfShape(database.admin, atOnce),
    )
    expect(await findLayoutFaults(database.admin, first)).toEqual([])
    for (const tenant of tenants) {
      expect(await failureOf(tenant(`insert into stays values (3, 7, '[4,6)')`))).toMatchObject({
        code: '23P01',
        constraint: 'apart',
      })
      await tenant(
        `with one as (update stays set at = '[20,21)' where id = 1 returning 1)
         insert into stays select 3, 7, '[30,31)', null from one`,
      )
      const message = await failureOf(tenant(`insert into stays values (4, 9, '[20,25)')`))
      expect(message).toMatchObject({ code: '23P01', constraint: 'stays_lower_excl' })
    }
  })

  test('a table without primary key works, and its rows are known as a whole until it gets one', async () => {
    const { first, places, tenants } = await inhabited(kind, TABLES)
    for (const tenant of tenants) {
      await tenant(`insert into marks values ('a', 1), ('a', 1), ('b', null)`)
      expect((await tenant(`update marks set n = 2 where line = 'b'`)).rowCount).toBe(1)
      expect((await tenant(`select count(*)::integer as n from marks`)).rows).toEqual([{ n: 3 }])
    }
    expect((await tenants[0]?.('delete from marks'))?.rowCount).toBe(3)
    expect((await tenants[1]?.(`delete from marks where line = 'a'`))?.rowCount).toBe(2)
    expect(await identityOf(first, 'marks')).toBe('f')
    await migrateAll(places, ['alter table marks add primary key (line)'])
    expect(await identityOf(first, 'marks')).toBe('d')
    expect(await findLayoutFaults(database.admin, first)).toEqual([])
    await migrateAll(places, [
      'alter table marks drop constraint marks_pkey, add primary key (line) deferrable, replica identity default',
    ])
    expect(await identityOf(first, 'marks')).toBe('f')
  })

  test('keys of several columns with any names and order hold per tenant, self references too', async () => {
    const sql = `create table "Ort" (b text, "A" integer, up text, primary key ("A", b),
      foreign key ("A", up) references "Ort" ("A", b) on delete set null (up) on update cascade deferrable)`
    const { first, tenants } = await inhabited(kind, sql)
    expect((await constraintsOf(first, '"Ort"')).filter((line) => line.includes('KEY'))).toEqual([
      'Ort_A_up_fkey FOREIGN KEY (tenant_id, "A", up) REFERENCES "Ort"(tenant_id, "A", b) ON UPDATE CASCADE ON DELETE SET NULL (up) DEFERRABLE',
      kind === 'database'
        ? 'Ort_pkey PRIMARY KEY ("A", b, tenant_id)'
        : 'Ort_pkey PRIMARY KEY (tenant_id, "A", b)',
    ])
    for (const tenant of tenants) await tenant(`insert into "Ort" values ('x', 1, null), ('y', 1, 'x')`)
    const [one, two] = tenants
    await one?.(`update "Ort" set b = 'z' where b = 'x'`)
    await two?.(`delete from "Ort" where b = 'x'`)
    const read = 'select b, up from "Ort" order by b'
    expect((await one?.(read))?.rows).toEqual([
      { b: 'y', up: 'z' },
      { b: 'z', up: null },
    ])
    expect((await two?.(read))?.rows).toEqual([{ b: 'y', up: null }])
  })

  test('periods, and constraints that are not enforced, are kept, made at once or later (18)', async () => {
    const { first, places, tenants } = await inhabited(kind, TABLES)
    if (version < 18) {
      for (const sql of TEMPORAL) await expect(database.migrate(first, sql)).rejects.toThrow()
      return
    }
    await migrateAll(places, TEMPORAL)
    const within = (columns: string, last: string) =>
      kind === 'database' ? `(${columns}, tenant_id, ${last})` : `(tenant_id, ${columns}, ${last})`
    expect(
      [...(await constraintsOf(first, 'prices')), ...(await constraintsOf(first, 'sales'))].filter(
        (line) => !line.includes('quickscale_'),
      ),
    ).toEqual([
      `prices_pkey PRIMARY KEY ${within('item', 'during WITHOUT OVERLAPS')}`,
      'loose CHECK ((id > 0)) NOT ENFORCED',
      'looser FOREIGN KEY (tenant_id, id) REFERENCES sales(tenant_id, id) ON DELETE SET NULL (id) NOT ENFORCED',
      `sales_id_during_key UNIQUE ${within('id', 'during WITHOUT OVERLAPS')}`,
      'sales_item_during_fkey FOREIGN KEY (tenant_id, item, PERIOD during) REFERENCES prices(tenant_id, item, PERIOD during)',
      kind === 'database'
        ? 'sales_pkey PRIMARY KEY (id, tenant_id)'
        : 'sales_pkey PRIMARY KEY (tenant_id, id)',
    ])
    const atOnce = await database.place(first.wall, TABLES + TEMPORAL.join(''))
    expect(await snapshotOfShape(database.admin, first)).toEqual(
      await snapshotOfShape(database.admin, atOnce),
    )
    const [one, two] = tenants
    await one?.(
      `insert into prices values ('a', '[2024-01-01,2024-06-01)', 1), ('a', '[2024-06-01,2025-01-01)', 2)`,
    )
    await two?.(`insert into prices values ('a', '[2024-01-01,2025-01-01)', 3)`)
    const overlapping = await failureOf(
      Promise.resolve(one?.(`insert into prices values ('a', '[2024-05-01,2024-07-01)', 1)`)),
    )
    expect(overlapping).toMatchObject({ code: '23P01', constraint: 'prices_pkey' })
    await one?.(`insert into sales values (1, 'a', '[2024-05-01,2024-07-01)')`)
    await one?.(`insert into prices values ('b', '[2024-01-01,2024-06-01)', 1)`)
    const foreign = await failureOf(
      Promise.resolve(two?.(`insert into sales values (1, 'b', '[2024-02-01,2024-03-01)')`)),
    )
    expect(foreign).toMatchObject({ code: '23503', constraint: 'sales_item_during_fkey' })
  })
})

async function identityOf({ schema }: TestPlace, table: string): Promise<string> {
  const { rows } = await database.admin.query<{ relreplident: string }>(
    'select relreplident from pg_class where oid = $1::regclass',
    [`${schema}.${table}`],
  )
  return rows[0]?.relreplident ?? ''
}
