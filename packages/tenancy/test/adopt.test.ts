import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Adoption, adoptSchemas } from '../src/layout/adopt.ts'
import { findAffectedIndexes } from '../src/layout/affected-indexes.ts'
import { failureOf, LayoutDatabase, type TestPlace } from './support/layout-database.ts'

const SOURCE = `
  create schema first_source; create schema second_source;
  create table first_source.item (id serial primary key, name text unique, amount numeric);
  create table second_source.item (id integer primary key, item_id integer references first_source.item on delete cascade);
  create index item_amount_idx on first_source.item (amount);
  create index item_filled_idx on first_source.item ((coalesce(name, '')));
  create index item_number_idx on first_source.item ((id::text));
  create view second_source.names as
    select own.id, other.name from second_source.item own join first_source.item other on other.id = own.item_id;
  create materialized view first_source.counted as select count(*) as n from first_source.item;
  create view second_source.twice as select n * 2 as n from first_source.counted;`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

/** @returns a place made of two schemas that nobody wrote for this library */
async function adopt(tenantId: string | null): Promise<{ place: TestPlace; adoption: Adoption }> {
  await database.admin.query('drop schema if exists first_source, second_source cascade')
  await database.admin.query(SOURCE)
  const place = await database.place(tenantId === null ? { kind: 'rls' } : { kind: 'schema', tenantId })
  const adoption = await adoptSchemas(database.admin, { from: ['first_source', 'second_source'], ...place })
  return { place, adoption }
}

describe.each([
  { wall: 'rls', id: null },
  { wall: 'schema', id: '0198c0de-0000-7000-8000-000000000001' },
])('adoption, $wall', ({ id }) => {
  test('joins schemas in one place, where their keys, views and sequences work for a tenant', async () => {
    const { place, adoption } = await adopt(id)
    expect(adoption.renamed).toEqual([
      { kind: 'index', schema: 'second_source', name: 'item_pkey', to: 'second_source_item_pkey' },
      { kind: 'table', schema: 'second_source', name: 'item', to: 'second_source_item' },
    ])
    const tenant = await database.tenant(place, id ?? undefined)
    await tenant(`insert into item (name) values ('a'), ('b')`)
    await tenant('insert into second_source_item values (1, 2)')
    expect((await tenant('select * from names')).rows).toEqual([{ id: 1, name: 'b' }])
    expect((await failureOf(tenant('insert into second_source_item values (2, 9)'))).code).toBe('23503')
    expect((await failureOf(tenant(`insert into item (name) values ('a')`))).code).toBe('23505')
  })

  test('leaves out what is refused, with what depends on it, and names both', async () => {
    const { place, adoption } = await adopt(id)
    expect(adoption.refused).toEqual([
      expect.objectContaining({ kind: 'materialized view', object: `${place.schema}.counted` }),
      expect.objectContaining({ kind: 'view', object: 'twice', reason: expect.stringContaining('counted') }),
    ])
    const { rows } = await database.admin.query(
      `select relname from pg_class where relnamespace = $1::regnamespace and relkind in ('m', 'v') order by 1`,
      [place.schema],
    )
    expect(rows).toEqual([{ relname: 'names' }])
  })
})

test('a table that cannot be a reference table is one of tenants; one that can has what is refused taken away', async () => {
  const place = await database.place({ kind: 'rls' })
  await database.admin.query(
    `create schema third_source;
     create table third_source.event (id integer, at date) partition by range (at);
     create table third_source.event_1 partition of third_source.event default;
     comment on table third_source.event is 'of everybody @shared';
     create table third_source.city (id integer primary key, name text, since timestamptz default now());
     comment on table third_source.city is '@shared';
     create table third_source.visit (id integer primary key, city integer references third_source.city on delete cascade)`,
  )
  const { refused } = await adoptSchemas(database.admin, { from: ['third_source'], ...place })
  expect(refused.map(({ kind, object }) => `${kind} ${object}`).sort()).toEqual([
    'default city.since',
    'foreign key visit.visit_city_fkey',
    'shared table event',
  ])
  const tenant = await database.tenant(place)
  await tenant(`insert into event values (1, '2025-01-01')`)
  expect((await failureOf(tenant('insert into city values (1)'))).code).toBe('42501')
})

test('a view that groups by a primary key goes on, where what the key decides can be grouped by as well', async () => {
  const place = await database.place({ kind: 'rls' })
  await database.admin.query(
    `create schema fourth_source;
     create table fourth_source.staff (id integer primary key, "Full name" text, boss integer references fourth_source.staff, extra json);
     create view fourth_source.teams with (security_barrier = true) as
       select b.id, b."Full name" as name, count(*) as n, max(p."Full name") as last
         from fourth_source.staff p join fourth_source.staff b on b.id = p.boss group by b.id having b."Full name" <> 'x';
     create view fourth_source.teams_of_two as select name from fourth_source.teams where n = 2;
     create view fourth_source.alone as select id, upper("Full name") as name from fourth_source.staff group by id;
     create view fourth_source.extras as select id, extra from fourth_source.staff group by id`,
  )
  const { refused } = await adoptSchemas(database.admin, { from: ['fourth_source'], ...place })
  expect(refused).toEqual([
    expect.objectContaining({
      kind: 'view',
      object: 'extras',
      reason: expect.stringContaining('relies on the key staff_pkey'),
    }),
  ])
  const tenant = await database.tenant(place)
  const other = await database.tenant(place)
  await other(`insert into staff values (1, 'Ann', null), (2, 'Zoe', 1)`)
  await tenant(`insert into staff values (1, 'Ann', null), (2, 'Bob', 1), (3, 'Cid', 1), (4, 'Bob', 2)`)
  expect((await tenant('select * from teams order by id')).rows).toEqual([
    { id: 1, name: 'Ann', n: '2', last: 'Cid' },
    { id: 2, name: 'Bob', n: '1', last: 'Bob' },
  ])
  expect((await tenant('select * from teams_of_two')).rows).toEqual([{ name: 'Ann' }])
  expect((await tenant('select name from alone order by id')).rows.map(({ name }) => name)).toEqual([
    'ANN',
    'BOB',
    'CID',
    'BOB',
  ])
  const { rows } = await database.admin.query(
    `select reloptions from pg_class where oid = '${place.schema}.teams'::regclass`,
  )
  expect(rows[0].reloptions.toSorted()).toEqual(['security_barrier=true', 'security_invoker=true'])
})

test('functions name no schema any more and run as the tenant that calls them; what was changed is told', async () => {
  const place = await database.place({ kind: 'rls' })
  await database.admin.query(
    `create schema fifth_source; create schema sixth_source;
     create table fifth_source.item (id integer primary key, name text);
     create table sixth_source.item (id integer primary key, log text, fifth_source text);
     create function fifth_source.names() returns text language sql security definer set search_path = fifth_source as $$
       -- fifth_source.item
       select string_agg(name || ' fifth_source.item', ',' order by id) from FIFTH_source."item" $$;
     create function sixth_source.note() returns trigger language plpgsql as $$
     begin
       insert into sixth_source.item as fifth_source (id, log) values (new.id, fifth_source.names());
       update sixth_source.item as fifth_source set log = fifth_source.log || '!';
       return new;
     end $$;
     create trigger note after insert on fifth_source.item for each row execute function sixth_source.note();
     create function sixth_source.plain() returns integer language sql as 'select 1'`,
  )
  const { altered, refused } = await adoptSchemas(database.admin, {
    from: ['fifth_source', 'sixth_source'],
    ...place,
  })
  expect(refused).toEqual([])
  expect(altered).toEqual([
    { object: 'names()', change: 'names of schemas left its body' },
    { object: 'names()', change: 'SECURITY DEFINER became SECURITY INVOKER' },
    { object: 'note()', change: 'names of schemas left its body' },
  ])
  const [tenant, other] = [await database.tenant(place), await database.tenant(place)]
  await other(`insert into item values (1, 'secret')`)
  await tenant(`insert into item values (1, 'a')`)
  expect((await tenant('select names()')).rows).toEqual([{ names: 'a fifth_source.item' }])
  expect((await tenant('select id, log from sixth_source_item')).rows).toEqual([
    { id: 1, log: 'a fifth_source.item!' },
  ])
})

test('an adopted table keeps other tenants out', async () => {
  const { place } = await adopt(null)
  const owner = await database.tenant(place)
  const other = await database.tenant(place)
  await owner(`insert into item (id, name) values (1, 'secret')`)
  expect((await other('select * from item')).rows).toEqual([])
  expect((await failureOf(other('insert into second_source_item values (1, 1)'))).code).toBe('23503')
})

test('what fails half way leaves the schemas as they were', async () => {
  await database.admin.query('drop schema if exists first_source, second_source cascade')
  await database.admin.query(
    `${SOURCE} insert into first_source.item (name) values ('a row without a tenant')`,
  )
  const place = await database.place({ kind: 'rls' })
  const missing = { from: ['first_source'], schema: 'no such place', wall: place.wall }
  await expect(adoptSchemas(database.admin, missing)).rejects.toThrow()
  const { rows } = await database.admin.query('select name from first_source.item')
  expect(rows).toEqual([{ name: 'a row without a tenant' }])
})

test('a GIN index of shared tables is said to look among all rows of the tenant', async () => {
  const words =
    'create table page (id integer primary key, words tsvector); create index on page using gin (words);'
  for (const kind of ['rls', 'schema'] as const) {
    const place = await database.place(kind === 'rls' ? { kind } : { kind, tenantId: randomUUID() }, words)
    const [found] = await findAffectedIndexes(database.admin, place)
    expect(found?.operators).toContain('@@')
    expect(/all rows of the tenant/.test(found?.reason ?? '')).toBe(kind === 'rls')
    expect(/schema or database/.test(found?.remedies.join() ?? '')).toBe(kind === 'rls')
  }
})

test('an index is affected by its operators where a policy stands before it, and only there', async () => {
  const { place } = await adopt(null)
  const { rows } = await database.admin.query(
    `select proleakproof as safe from pg_proc where oid = 'numeric_eq(numeric, numeric)'::regprocedure`,
  )
  const affected = await findAffectedIndexes(database.admin, place)
  const names = affected.map(({ index }) => index)
  // text, integer and uuid have LEAKPROOF operators everywhere; numeric where it has been marked.
  expect(names).not.toContain('item_pkey')
  expect(names.includes('item_amount_idx')).toBe(!rows[0].safe)
  // These are no functions, and the planner evaluates them after the policy all the same.
  const reasons = new Map(affected.map(({ index, reason }) => [index, reason]))
  expect(reasons.get('item_filled_idx')).toMatch(/calls COALESCE/)
  expect(reasons.get('item_number_idx')).toMatch(/calls a cast by way of text/)
  const silo = { schema: place.schema, wall: { kind: 'database', tenantId: null } } as const
  expect(await findAffectedIndexes(database.admin, silo)).toEqual([])
})
