import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { QuickScaleError } from '../src/errors.ts'
import type { LayoutRefusal, Wall } from '../src/layout/shape.ts'
import { failureOf, LayoutDatabase, type TestPlace, type TestTenant } from './support/layout-database.ts'

const COUNTRIES = `
  create table country (code text primary key, name text not null unique, area integer);
  comment on table country is 'ISO 3166. @shared';
  create table city (id integer primary key, country text references country, name text);
  comment on table city is '@shared';
  insert into country values ('DE', 'Germany', 357), ('FR', 'France', 643) on conflict (code) do nothing;
  insert into city select 1, code, 'Berlin' from country where code = 'DE';`
const NOTES = `
  create table note (id integer primary key, country text references country on delete restrict, body text);
  create index on note (country);
  create view by_country as select country.name, note.body from note join country on country.code = note.country;`
const FILL = `create function fill() returns text language sql as $$ insert into country select 'XX', max(body) from note returning name $$`
const COLLIDING = `insert into note values (1, 'DE', 'own')`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

interface Inhabited {
  readonly place: TestPlace
  readonly own: TestTenant
  readonly tenants: readonly TestTenant[]
}

async function inhabited(kind: Wall['kind'], ...migrations: string[]): Promise<Inhabited> {
  const ids = kind === 'rls' ? [randomUUID(), randomUUID()] : [randomUUID()]
  const place = await database.place(
    kind === 'rls' ? { kind } : { kind, tenantId: ids[0] ?? '' },
    ...migrations,
  )
  const tenants = await Promise.all(ids.map((id) => database.tenant(place, id)))
  return { place, tenants, own: tenants[0] ?? expect.fail() }
}

async function refusals(work: Promise<unknown>, what = ''): Promise<readonly LayoutRefusal[]> {
  const error = await work.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  if (!(error instanceof QuickScaleError)) throw error ?? new Error(`nothing was refused: ${what}`)
  return error.details.refusals as readonly LayoutRefusal[]
}

describe.each(['rls', 'schema', 'database'] as const)('a @shared table with the %s strategy', (kind) => {
  test('has the rows of its migrations for every tenant, and tables of tenants refer to it', async () => {
    const { place, tenants } = await inhabited(kind, COUNTRIES, NOTES)
    for (const tenant of tenants) {
      await tenant(COLLIDING)
      expect((await tenant('select * from by_country')).rows).toEqual([{ name: 'Germany', body: 'own' }])
      expect((await tenant('select country from country order by code limit 1')).rows).toEqual([
        { country: '(DE,Germany,357)' },
      ])
      expect((await failureOf(tenant(`insert into note values (2, 'XX')`))).code).toBe('23503')
      expect((await failureOf(tenant(`update note set country = 'XX'`))).code).toBe('23503')
    }
    await database.migrate(place, 'alter table country add column capital text')
    await database.migrate(
      place,
      `update country set capital = city.name from city where city.country = code;
       update note set body = (select name from country where code = note.country);
       delete from country where code = 'FR';
       insert into country values ('CH', 'Switzerland', 41, 'Bern')`,
    )
    for (const tenant of tenants) {
      expect((await tenant('select code, capital from country order by code')).rows).toEqual([
        { code: 'CH', capital: 'Bern' },
        { code: 'DE', capital: 'Berlin' },
      ])
      expect((await tenant('select body from note')).rows).toEqual([{ body: 'Germany' }])
    }
  })

  test('keeps its keys, has no tenant_id, and gives tenants and readers SELECT of each column', async () => {
    const { place } = await inhabited(kind, COUNTRIES, NOTES, 'alter table country add column capital text')
    const { rows } = await database.admin.query(
      `select relname, relrowsecurity, relacl is null as closed, pg_get_userbyid(relowner) as owner,
              array(select pg_get_constraintdef(oid) from pg_constraint where conrelid = pg_class.oid and contype <> 'n' order by 1) as constraints,
              array(select distinct unnest(attacl)::text from pg_attribute where attrelid = pg_class.oid and attnum > 0 order by 1) as rights
         from pg_class where relnamespace = $1::regnamespace and relname in ('country', 'city', 'note') order by relname`,
      [place.schema],
    )
    const role = kind === 'database' ? 'quickscale_silo' : 'quickscale_runtime'
    const [city, country, note] = rows
    for (const table of [city, country]) {
      expect(table).toMatchObject({ relrowsecurity: false, owner: 'quickscale_owner' })
      expect(table.rights).toEqual(['quickscale_reader=r/quickscale_owner', `${role}=r/quickscale_owner`])
    }
    expect(country.constraints).toEqual(['PRIMARY KEY (code)', 'UNIQUE (name)'])
    expect(note.constraints).toContain(
      `FOREIGN KEY (country) REFERENCES ${place.schema}.country(code) ON DELETE RESTRICT`,
    )
  })

  test('cannot be written, emptied, locked or changed by a tenant, past views too', async () => {
    const { own } = await inhabited(
      kind,
      COUNTRIES,
      NOTES,
      'create view land as select code, name from country',
    )
    await own(COLLIDING)
    for (const text of [
      `insert into country values ('XX', 'Nowhere')`,
      `insert into country values ('DE', 'x') on conflict (code) do update set name = excluded.name`,
      `update country set name = 'Mine' where code = 'DE'`,
      'delete from country',
      'truncate country cascade',
      'select code from country for share',
      'lock table country in exclusive mode',
      `update land set name = 'Mine'`,
      'delete from land',
      'alter table country add column mine text',
      `comment on table country is 'mine'`,
      'create table mine (code text references country)',
      `merge into country using note on country.code = note.country when matched then delete`,
    ]) {
      expect((await failureOf(own(text))).code, text).toBe('42501')
    }
    expect((await own('select count(*)::integer as n from country')).rows).toEqual([{ n: 2 }])
  })

  test('does not show which of its rows others refer to', async () => {
    const { place, own, tenants } = await inhabited(kind, COUNTRIES, NOTES)
    const other = tenants.at(-1) ?? own
    const locks = () =>
      database.admin.query(`select xmax::text from ${place.schema}.country where code = 'DE'`)
    const before = (await locks()).rows
    await other(COLLIDING)
    // What there is to be seen.
    expect((await locks()).rows).not.toEqual(before)
    for (const column of ['xmax', 'xmin', 'cmax', 'ctid', 'tableoid']) {
      expect((await failureOf(own(`select ${column} from country`))).code).toBe('42501')
    }
    expect((await failureOf(own(`select json_agg(c.xmax) from country c`))).code).toBe('42501')
    expect((await own(`select * from country where code = 'DE'`)).rows).toHaveLength(1)
  })

  test('is written by migrations from itself and its kin only, never from rows of tenants', async () => {
    const { place, own } = await inhabited(
      kind,
      COUNTRIES,
      NOTES,
      `create function peek() returns text language sql as 'select max(body) from note';
       create domain peeked as text`,
    )
    await own(COLLIDING)
    for (const sql of [
      `insert into country select id::text, body from note`,
      `insert into country values ('XX', (select max(body) from note))`,
      `with stolen as (select body from note) insert into country select 'XX', body from stolen`,
      `with note as (select 'x' as body), x as (insert into country select 'XX', body from note) select 1`,
      `update country set name = note.body from note where note.country = country.code and note.tenant_id is not null`,
      `select 1; with x as (update country set name = (select body from note limit 1) returning 1) select 1`,
      `merge into country using note on false when not matched then insert values ('XX', note.body)`,
      `insert into country select 'XX', body from by_country`,
      `insert into country values ('XX', peek())`,
      `insert into country values ('XX', query_to_xml('select * from note', true, true, '')::text)`,
      `insert into country values ('XX', gen_random_uuid()::text)`,
      `insert into country values ('XX', current_user)`,
      `alter table country add column stolen text default peek()`,
      `alter table country alter column area type text using peek()`,
      `create domain stolen as text default peek(); create table place (name stolen, code text); comment on table place is '@shared'; insert into place (code) values ('x')`,
      `create table place (code text primary key, name text default query_to_xml('select * from note', true, true, '')::text); comment on table place is '@shared';
       insert into place (code) values ('x'); alter table place alter name drop default`,
      `create table place as select * from note; comment on table place is '@shared'`,
      `create table first as select * from note; alter table first rename to place; comment on table place is '@shared'`,
      `select * into place from note; comment on table place is '@shared'`,
      `prepare q as select * from note; create table place as execute q; comment on table place is '@shared'`,
      `prepare q (text) as insert into country values ('XX', $1); execute q('x')`,
      `alter table country rename to old; alter table note rename to country; insert into country values (3)`,
      `drop table country cascade; create view country as select * from note; insert into country values (3)`,
      `insert into ${place.schema}.country values ('XX', 'x')`,
      `copy country from stdin`,
      'truncate city',
      `${FILL}; create view stolen as select fill() as name; select * from stolen`,
      `${FILL}; create view stolen as select fill() as name; update note set body = 'x' from stolen where note.tenant_id = note.tenant_id`,
      `${FILL}; prepare q as select fill(); execute q`,
      `${FILL}; explain analyze select fill()`,
      `${FILL}; declare c cursor for select fill(); fetch c`,
      `${FILL}; create domain stolen as text check (fill() is not null or value > ''); alter table note add column stolen stolen default 'x'`,
      `${FILL}; create domain stolen as text default fill(); alter table note add column stolen stolen`,
      `create function fill() returns trigger language plpgsql as $$ begin insert into country select 'XX', max(body) from note; return new; end $$;
       create trigger fill before update on note for each row execute function fill(); update note set body = 'x'`,
    ]) {
      const found = await refusals(database.migrate(place, sql), sql)
      expect(found, sql).not.toEqual([])
      for (const { reason, remedy } of found) expect([reason, remedy]).not.toContain('')
    }
    expect((await own('select code, name from country order by code')).rows).toEqual([
      { code: 'DE', name: 'Germany' },
      { code: 'FR', name: 'France' },
    ])
    expect((await failureOf(database.migrate(place, `delete from country where code = 'DE'`))).code).toBe(
      '23503',
    )
  })

  test('stays what it is: the word neither comes later nor goes', async () => {
    const { place, own } = await inhabited(kind, COUNTRIES, NOTES)
    await own(COLLIDING)
    for (const [object, sql] of [
      ['note', `comment on table note is '@shared'`],
      ['country', `comment on table country is 'ISO 3166'`],
      ['country', 'comment on table country is null'],
      [
        'note',
        `alter table note drop column tenant_id cascade; alter table note disable row level security, no force row level security;
                revoke all on note from quickscale_runtime, quickscale_silo, quickscale_reader; comment on table note is '@shared'`,
      ],
      ['note', `alter table note rename tenant_id to mine; comment on table note is '@shared'`],
      ['country', 'alter table country add column tenant_id uuid'],
      ['country', 'grant insert on country to quickscale_runtime'],
      ['country', 'grant select on country to quickscale_runtime'],
      ['country', 'grant update (name) on country to quickscale_runtime'],
      ['country', 'alter table country enable row level security'],
    ]) {
      const found = await refusals(database.migrate(place, sql ?? ''), sql)
      expect(found, sql).toContainEqual(
        expect.objectContaining({ object: expect.stringContaining(object ?? '') }),
      )
    }
    await database.migrate(place, `comment on table country is 'countries @shared, as ISO 3166 has them'`)
    expect(
      (await own('select count(*)::integer as n from note join country on code = country')).rows,
    ).toEqual([{ n: 1 }])
  })
})

describe.each(['rls', 'schema', 'database'] as const)(
  'an @append-only table with the %s strategy',
  (kind) => {
    const LOG = `
    create table parent (id integer primary key);
    create table log (id integer primary key, parent integer references parent, body text);
    comment on table log is 'What happened. @append-only';
    create view seen as select id, body from log;`

    test('is read and added to, and no tenant changes or removes what is there', async () => {
      const { tenants } = await inhabited(kind, LOG)
      for (const tenant of tenants) {
        await tenant(`insert into log values (1, null, 'first')`)
        for (const text of [
          `update log set body = 'changed'`,
          'delete from log',
          `insert into log values (1, null, 'x') on conflict (tenant_id, id) do update set body = 'changed'`,
          `update seen set body = 'changed'`,
          'delete from seen',
        ])
          expect((await failureOf(tenant(text))).code, text).toBe('42501')
        expect((await tenant('select id, body from log')).rows).toEqual([{ id: 1, body: 'first' }])
      }
    })

    test('is changed by no foreign key, and neither becomes one later nor ceases to be one', async () => {
      for (const action of ['on delete cascade', 'on delete set null', 'on update cascade']) {
        const refused = await refusals(
          inhabited(kind, LOG.replace('references parent', `references parent ${action}`)),
          action,
        )
        expect(refused).toMatchObject([
          { kind: 'foreign key', reason: expect.stringContaining('@append-only') },
        ])
      }
      const { place } = await inhabited(kind, LOG)
      for (const text of [`comment on table log is null`, `comment on table parent is '@append-only'`])
        expect(await refusals(database.migrate(place, text), text)).toMatchObject([{ kind: 'grant' }])
    })
  },
)
