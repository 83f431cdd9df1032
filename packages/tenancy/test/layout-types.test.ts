import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Wall } from '../src/layout/compile.ts'
import { applyMigrations } from '../src/migrations/apply.ts'
import { failureOf, LayoutDatabase } from './support/layout-database.ts'
import { snapshotOfRows, snapshotOfShape } from './support/layout-snapshot.ts'

const TYPES = `
  create type mood as enum ('sad', 'ok', 'happy');
  comment on type mood is 'how it feels';
  create type zip as (code text, moods mood[]);
  create type address as (street text, zip zip);
  create domain percent as numeric(5, 2) default 0 check (value between 0 and 100);
  create domain percents as percent[] check (cardinality(value) < 4);
  create type hours as range (subtype = time, multirange_type_name = many_hours);
  create table place (
    id integer primary key,
    feeling mood not null default 'ok',
    moods mood[],
    home address,
    share percent not null,
    shares percents,
    open hours,
    opens many_hours check (opens <> '{}'),
    unique (feeling, share)
  );
  create index place_feeling_idx on place (feeling, open);
  create view glad as select id, (home).zip.code from place where feeling = 'happy';`
const ROW = `insert into place (id, feeling, moods, home, share, shares, open, opens) values
  (1, 'happy', '{sad,ok}', '("Main, 1","(123,{ok})")', 12.345, '{1,2}', '[08:00,12:00)', '{[08:00,12:00),[13:00,17:00)}')`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

describe.each(['rls', 'schema', 'database'] as const)('with the %s strategy', (kind) => {
  async function inhabited() {
    const tenantId = randomUUID()
    const wall: Wall = kind === 'rls' ? { kind } : { kind, tenantId }
    const place = await database.place(wall, TYPES)
    return { place, tenant: await database.tenant(place, tenantId) }
  }

  test('enums, domains, composite and range types are each place own, with checks and defaults', async () => {
    const { tenant } = await inhabited()
    await tenant(ROW)
    const { rows } = await tenant(
      `select moods::text, (home).zip.moods::text as inside, share, shares::text, opens @> time '14:00' as open from place`,
    )
    expect(rows).toEqual([
      { moods: '{sad,ok}', inside: '{ok}', share: '12.35', shares: '{1.00,2.00}', open: true },
    ])
    expect((await tenant('select * from glad')).rows).toEqual([{ id: 1, code: '123' }])
    expect((await failureOf(tenant(`insert into place (id, feeling) values (2, 'angry')`))).code).toBe(
      '22P02',
    )
    expect((await failureOf(tenant('insert into place (id, share) values (2, 101)'))).code).toBe('23514')
    expect((await failureOf(tenant(`update place set shares = '{1,2,3,4}'`))).code).toBe('23514')
  })

  test('a second run over types changes nothing', async () => {
    const { place } = await inhabited()
    const before = await snapshotOfRows(database.admin, place)
    await database.migrate(place, 'select 1')
    expect(await snapshotOfRows(database.admin, place)).toEqual(before)
    expect(before.filter((line) => line.startsWith('type ') && line.includes('quickscale_migrator'))).toEqual(
      [],
    )
  })

  test('later migrations change and drop types among the rows of a tenant', async () => {
    const { place, tenant } = await inhabited()
    await tenant(ROW)
    await database.migrate(
      place,
      `alter type mood add value 'angry' before 'sad'; alter type mood rename value 'ok' to 'fine'`,
    )
    await database.migrate(
      place,
      `alter table place alter column feeling set default 'angry';
       alter domain percents add constraint few check (cardinality(value) < 3);
       alter type zip add attribute country text cascade;
       alter type mood rename to humour; alter table place drop column opens, drop column open; drop type hours`,
    )
    await tenant('insert into place (id, share) values (2, 3)')
    const { rows } = await tenant('select feeling::text, (home).zip.country from place order by id')
    expect(rows).toEqual([
      { feeling: 'happy', country: null },
      { feeling: 'angry', country: null },
    ])
    expect((await failureOf(tenant('insert into place (id, share) values (3, 101)'))).code).toBe('23514')
  })
})

test('a value that one pending file adds to an enum can be used in the next one', async () => {
  const place = await database.place({ kind: 'rls' })
  const file = (name: string, text: string) => ({ name, text, digest: text })
  const target = { ...place, databaseName: 'layout' }
  const first = [
    file('a/0001', `create type size as enum ('s'); create table shirt (id integer primary key, size size)`),
  ]
  expect(await applyMigrations(database.admin, target, first)).toBe(1)
  const rest = [
    file('a/0002', `alter type size add value 'm'`),
    file('a/0003', `alter table shirt alter size set default 'm'`),
    file('a/0004', `alter type size add value 'l'`),
  ]
  expect(await applyMigrations(database.admin, target, [...first, ...rest])).toBe(3)
  const tenant = await database.tenant(place)
  expect((await tenant('insert into shirt values (1) returning size')).rows).toEqual([{ size: 'm' }])
  // In a new place the type is made in the same transaction, so that all of them need one only.
  const next = await database.place({ kind: 'schema', tenantId: randomUUID() })
  const wrong = [...first, ...rest, file('a/0005', 'create table shirt (id integer)')]
  await expect(applyMigrations(database.admin, { ...next, databaseName: 'layout' }, wrong)).rejects.toThrow()
  expect(await snapshotOfShape(database.admin, next)).toHaveLength(1)
})

test('types have the same shape behind every wall', async () => {
  const shapes: string[][] = []
  for (const wall of [{ kind: 'rls' }, { kind: 'schema', tenantId: randomUUID() }] as const) {
    shapes.push(await snapshotOfShape(database.admin, await database.place(wall, TYPES)))
  }
  expect(shapes[1]).toEqual(shapes[0])
  const silo = await database.place({ kind: 'database', tenantId: randomUUID() }, TYPES)
  const types = (lines: readonly string[] = []) => lines.filter((line) => line.startsWith('type '))
  expect(types(await snapshotOfShape(database.admin, silo))).toEqual(types(shapes[0]))
  expect(types(shapes[0])).toHaveLength(7)
})
