import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { adoptSchemas } from '../src/layout/adopt.ts'
import type { Wall } from '../src/layout/compile.ts'
import { reviewedExtensions } from '../src/layout/reviewed-extensions.ts'
import { failureOf, LayoutDatabase } from './support/layout-database.ts'

const PEOPLE = `
  create extension if not exists citext with schema public;
  comment on extension citext is 'case does not matter';
  create extension hstore;
  create extension if not exists "uuid-ossp";
  create table people (
    id uuid primary key default uuid_generate_v4(),
    email citext not null unique, others citext[], more hstore not null default ''
  );
  create view emails as select email, more -> 'size' as size from people where more ? 'size'`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

test.each(['rls', 'schema', 'database'] as const)(
  'extensions of a migration are made once for all places, and tenants find them: %s',
  async (kind) => {
    const tenantId = randomUUID()
    const wall: Wall = kind === 'rls' ? { kind } : { kind, tenantId }
    const place = await database.place(wall, PEOPLE)
    const tenant = await database.tenant(place, tenantId)
    await tenant(
      `insert into people (email, others, more) values ('A@x.example', '{B@x.example}', 'size => 3')`,
    )
    expect((await failureOf(tenant(`insert into people (email) values ('a@X.example')`))).code).toBe('23505')
    const { rows } = await tenant(
      `select email, 'b@x.example' = any (others) as listed from people where email = 'a@x.EXAMPLE'`,
    )
    expect(rows).toEqual([{ email: 'A@x.example', listed: true }])
    expect((await tenant('select * from emails')).rows).toEqual([{ email: 'A@x.example', size: '3' }])
    await database.migrate(place, 'create extension if not exists citext; alter table people add nick citext')
    await tenant(`update people set nick = 'N'`)
    if (kind !== 'rls') return
    const other = await database.tenant(place)
    await other(`insert into people (email) values ('a@x.example')`)
    expect((await other('select count(*) from emails')).rows).toEqual([{ count: '0' }])
  },
)

test('every reviewed extension that the server has can be made and leaves no function open that its review closes', async () => {
  const { rows } = await database.admin.query<{ name: string }>(
    'select name from pg_available_extensions where name = any ($1)',
    [Object.keys(reviewedExtensions)],
  )
  expect(rows.length).toBeGreaterThan(0)
  const place = await database.place(
    { kind: 'rls' },
    ...rows.map(({ name }) => `create extension if not exists "${name}"`),
  )
  const tenant = await database.tenant(place)
  const { rows: elsewhere } = await database.admin.query(
    `select extname from pg_extension where extname <> 'plpgsql' and extnamespace <> 'extensions'::regnamespace`,
  )
  expect(elsewhere).toEqual([])
  // What one tenant set would hold for the next one on the connection.
  for (const call of ['set_limit(0.9)', 'isn_weak(true)']) {
    expect((await failureOf(tenant(`select ${call}`))).code).toBe('42501')
  }
})

test('tenants create nothing among the extensions', async () => {
  const place = await database.place({ kind: 'rls' })
  const tenant = await database.tenant(place)
  for (const statement of [
    'create table extensions.t ()',
    'create function extensions.f() returns integer return 1',
  ]) {
    expect((await failureOf(tenant(statement))).code).toBe('42501')
  }
})

test('adoption drops an extension that keeps tenants not apart, and names what goes with it', async () => {
  await database.admin.query(
    `create schema source; create extension dblink schema source; drop extension seg; create extension seg schema source;
     create table source.scale (id integer primary key, reach source.seg);
     create view source.remote as select * from source.dblink('', 'select 1') as t (n integer)`,
  )
  const place = await database.place({ kind: 'rls' })
  const { refused } = await adoptSchemas(database.admin, { from: ['source'], ...place })
  expect(refused).toEqual([
    expect.objectContaining({
      kind: 'extension',
      object: 'dblink',
      reason: expect.stringContaining('connections'),
    }),
    expect.objectContaining({ kind: 'view', object: 'remote' }),
  ])
  const tenant = await database.tenant(place)
  await tenant(`insert into scale values (1, '1 .. 2')`)
})
