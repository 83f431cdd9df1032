import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { completeBody, findBodyObjections } from '../src/layout/compile/routine-bodies.ts'
import type { Wall } from '../src/layout/compile.ts'
import { failureOf, LayoutDatabase, type TestPlace } from './support/layout-database.ts'
import { snapshotOfRows } from './support/layout-snapshot.ts'

const FUNCTIONS = `
  create table item (id integer primary key, name text unique, n integer not null default 0);
  create function full_name(item) returns text language sql immutable as $$ select concat($1.id, ' ', $1.name) $$;
  create function items(minimum integer default 0) returns setof item language sql stable as $$ select * from item where n >= minimum $$;
  create function counted() returns bigint begin atomic select count(*) from item; end;
  create function keep(wanted text) returns integer language plpgsql set search_path = public as $$
  declare kept integer;
  begin
    insert into item as i (id, name) values ((select coalesce(max(id), 0) + 1 from item), wanted)
      on conflict (name) do update set n = i.n + 1 returning n into kept;
    return kept;
  end $$;
  create procedure forget() language plpgsql as $$ begin delete from item; end $$;
  create function plus(integer, integer) returns integer immutable strict return $1 + $2;
  create aggregate total (integer) (sfunc = plus, stype = integer, initcond = 0);
  create function next_number() returns integer language plpgsql as $$ begin return (select count(*) from item); end $$;
  create table numbered (id integer primary key default next_number());`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

async function functionsOf({ schema }: TestPlace): Promise<Record<string, unknown>> {
  const { rows } = await database.admin.query(
    `select proname, concat_ws(' ', pg_get_userbyid(proowner), case when prosecdef then 'definer' end,
                               replace(array_to_string(proconfig, ';'), $1::text, 'place')) as found
       from pg_proc where pronamespace = $1::regnamespace order by 1`,
    [schema],
  )
  return Object.fromEntries(rows.map(({ proname, found }) => [proname, found]))
}

test.each(['rls', 'schema', 'database'] as const)(
  'functions of a migration run as the tenant that calls them: %s',
  async (kind) => {
    const ids = kind === 'rls' ? [randomUUID(), randomUUID()] : [randomUUID()]
    const wall: Wall = kind === 'rls' ? { kind } : { kind, tenantId: ids[0] ?? '' }
    const place = await database.place(wall, FUNCTIONS)
    for (const id of ids) {
      const tenant = await database.tenant(place, id)
      await tenant(`select keep('a')`)
      await tenant(`select keep('b')`)
      expect((await tenant(`select keep('a') as n`)).rows).toEqual([{ n: 1 }])
      expect((await tenant('select full_name(items) from items(1)')).rows).toEqual([{ full_name: '1 a' }])
      expect((await tenant('select counted()::integer, total(n)::integer from item')).rows).toEqual([
        { counted: 2, total: 1 },
      ])
      expect((await tenant('insert into numbered default values returning id')).rows).toEqual([{ id: 2 }])
      await tenant('delete from item where id = 2')
    }
    const path = 'search_path=place, extensions, pg_temp'
    expect(await functionsOf(place)).toEqual({
      counted: 'quickscale_owner',
      forget: `quickscale_owner ${path}`,
      full_name: 'quickscale_owner',
      items: 'quickscale_owner',
      keep: `quickscale_owner ${path}`,
      next_number: `quickscale_trigger definer ${path}`,
      plus: 'quickscale_owner',
      total: 'quickscale_owner',
    })
    const before = await snapshotOfRows(database.admin, place)
    await database.migrate(place, 'select 1')
    expect(await snapshotOfRows(database.admin, place)).toEqual(before)

    await database.migrate(
      place,
      `alter table numbered alter id drop default;
     create or replace function keep(wanted text) returns integer language sql as
       $$ insert into item (id, name) values (9, wanted) on conflict (name) do nothing returning n $$;
     drop function counted(); drop aggregate total (integer)`,
    )
    expect(await functionsOf(place)).toEqual({
      forget: `quickscale_owner ${path}`,
      full_name: 'quickscale_owner',
      items: 'quickscale_owner',
      keep: 'quickscale_owner',
      next_number: `quickscale_owner ${path}`,
      plus: 'quickscale_owner',
    })
  },
)

test('a procedure cannot end the transaction, not even in a way that its text hides', async () => {
  const place = await database.place({ kind: 'rls' }, FUNCTIONS)
  await database.admin.query(
    `create or replace procedure ${place.schema}.forget() language plpgsql set search_path = ${place.schema} as $$ begin commit; end $$`,
  )
  expect((await failureOf(database.admin.query(`call ${place.schema}.forget()`))).code).toBe('2D000')
})

test.each(['rls', 'schema', 'database'] as const)(
  'a migration cannot answer in the place of the catalogs: %s',
  async (kind) => {
    const wall: Wall = kind === 'rls' ? { kind } : { kind, tenantId: randomUUID() }
    const place = await database.place(wall, 'create table first (id integer primary key)')
    const nothing = [
      'relations',
      'columns',
      'constraints',
      'indexes',
      'sequences',
      'policies',
      'views',
      'types',
    ]
      .concat('routines', 'triggers', 'strangers', 'outsiders')
      .map((name) => `json_build_array() as ${name}`)
      .join(', ')
    const grants = `(select json_agg(json_build_object('grantee', grantee::regrole::text, 'privilege', lower(privilege_type), 'grantable', is_grantable))
      from aclexplode((select nspacl from pg_namespace where nspname = $1)) where grantee <> 'quickscale_owner'::regrole)`
    const forged = `select json_build_object('name', $1, 'owner', 'quickscale_owner', 'grants', ${grants}) as schema,
      ${nothing}, 0 as "defaultGrants"`
    for (const [name, tampering] of [
      ['second', `deallocate all; prepare quickscale_introspection (text) as ${forged}`],
      ['third', 'deallocate all'],
    ]) {
      await database.migrate(place, `create table ${name} (id integer primary key); ${tampering};`)
      const { rows } = await database.admin.query(
        `select relname from pg_attribute join pg_class on pg_class.oid = attrelid
          where relnamespace = $1::regnamespace and relkind = 'r' and attname = 'tenant_id'`,
        [place.schema],
      )
      expect(rows.map(({ relname }) => relname)).toContain(name)
    }
  },
)

test('what a body may not do is found, what only looks like it is not', () => {
  const found = (body: string) => findBodyObjections(body, 'app', false).map(({ reason }) => reason)
  for (const body of [
    'begin x := 1; ROLLBACK; end',
    'begin if a then /* ; */ lock table t; end if; end',
    `begin perform "pg_notify"('a', 'b'); end`,
    'select * from App . t',
    'begin set role x; end',
    `select 'unterminated`,
  ]) {
    expect(found(body), body).toHaveLength(1)
  }
  for (const body of [
    '',
    `begin raise notice 'commit; lock'; comment := 'x'; lock = 1; set local work_mem = '1MB'; end`,
    'declare app_name text; begin return new.app; end -- ; commit',
    'select "lock", nextval from t where create_at > now()',
    `begin execute 'select 1'; end`,
  ]) {
    expect(found(body), body).toEqual([])
  }
})

test('ON CONFLICT is completed once, wherever it stands and whatever is before it', () => {
  const body = `begin -- é on conflict (a)
    insert into t values (1) ON  CONFLICT ( a , lower(b) ) where c do nothing; insert into u values ('on conflict (x)')
    on conflict do nothing; insert into v values (2) on conflict on constraint k do nothing; end`
  const completed = completeBody(body)
  expect(completed).toBe(body.replace('( a ,', '(tenant_id,  a ,'))
  expect(completeBody(completed ?? '')).toBeNull()
})
