import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { completeLayout, raiseSiloWall, type Wall } from '../src/layout/compile.ts'
import { failureOf, LayoutDatabase, type TestPlace } from './support/layout-database.ts'
import { inSilo, shapeLines, snapshotOfRows, snapshotOfShape } from './support/layout-snapshot.ts'

const COMPANIES = `
  create table companies (
    id integer primary key,
    name text not null,
    code text,
    region text,
    constraint companies_code_key unique nulls not distinct (code) include (name) with (fillfactor = 70),
    constraint companies_place_key unique (region, name) deferrable initially deferred
  );
  comment on constraint companies_code_key on companies is 'ours to keep';
  comment on index companies_place_key is 'an index''s comment';
  create unique index companies_name_idx on companies (name collate "C" text_pattern_ops desc nulls last) include (region);
  comment on index companies_name_idx is 'by name';
  create index companies_region_idx on companies (region desc, code nulls first) with (deduplicate_items = off);
  cluster companies using companies_region_idx;

  create table people (
    id bigserial primary key,
    badge smallserial unique,
    number integer generated always as identity (start with 100 increment by 5),
    company_id integer references companies on delete cascade on update cascade,
    backup_id integer constraint backup references companies (id) on delete set null deferrable initially deferred,
    chief_id bigint references people (id) on delete set default,
    code text, region text not null default 'north', age integer check (age >= 0),
    unique (region, code),
    constraint home foreign key (region, code) references people (region, code) on delete set null (code)
  );
  alter table people add constraint partner
    foreign key (backup_id, company_id) references pairs (one, two) match full not valid;
  comment on constraint backup on people is 'the second choice';
  alter sequence people_id_seq restart with 5000;
  comment on sequence people_badge_seq is 'badges';
  create view adults as select * from people where age >= 18;
  create view adult_names with (security_barrier) as select id, region from adults with local check option;
  comment on view adults is 'of age';`
const PAIRS = 'create table pairs (one integer, two integer, primary key (one, two));'
const SHAPE = `${PAIRS} ${COMPANIES}`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

function walls(): Wall[] {
  return [
    { kind: 'rls' },
    { kind: 'schema', tenantId: randomUUID() },
    { kind: 'database', tenantId: randomUUID() },
  ]
}

/** Two tenants: of one place under rls, of a place each otherwise. */
async function twoTenants(kind: Wall['kind'], sql: string) {
  const [one, two] = [randomUUID(), randomUUID()]
  const wallOf = (tenantId: string): Wall => (kind === 'rls' ? { kind } : { kind, tenantId })
  const placeOne = await database.place(wallOf(one), sql)
  const placeTwo = kind === 'rls' ? placeOne : await database.place(wallOf(two), sql)
  return {
    one: { id: one, query: await database.tenant(placeOne, one), place: placeOne },
    two: { id: two, query: await database.tenant(placeTwo, two), place: placeTwo },
  }
}

describe('the completed shape', () => {
  let place: TestPlace
  beforeAll(async () => {
    place = await database.place({ kind: 'rls' }, SHAPE)
  })

  test('puts tenant_id last in every table and nothing else into it', async () => {
    const columns = await shapeLines(database.admin, place, 'column')
    expect(columns.filter((line) => /^(companies|pairs) /.test(line))).toEqual([
      'companies 1 id integer t',
      'companies 2 name text t',
      'companies 3 code text f',
      'companies 4 region text f',
      'companies 5 tenant_id uuid t',
      'pairs 1 one integer t',
      'pairs 2 two integer t',
      'pairs 3 tenant_id uuid t',
    ])
  })

  test('leads keys by tenant_id and keeps names, options, deferral and comments', async () => {
    const keys = await shapeLines(database.admin, place, 'constraint')
    expect(keys.filter((line) => /PRIMARY|UNIQUE/.test(line))).toEqual([
      'companies companies_code_key UNIQUE NULLS NOT DISTINCT (tenant_id, code) INCLUDE (name) ours to keep',
      'companies companies_pkey PRIMARY KEY (tenant_id, id)',
      'companies companies_place_key UNIQUE (tenant_id, region, name) DEFERRABLE INITIALLY DEFERRED',
      'pairs pairs_pkey PRIMARY KEY (tenant_id, one, two)',
      'people people_badge_key UNIQUE (tenant_id, badge)',
      'people people_pkey PRIMARY KEY (tenant_id, id)',
      'people people_region_code_key UNIQUE (tenant_id, region, code)',
    ])
    const relations = await shapeLines(database.admin, place, 'relation')
    expect(relations.filter((line) => line.startsWith('i companies_place_key'))[0]).toContain(
      "an index's comment",
    )
  })

  test('leads indexes by tenant_id and keeps order, operator class, collation, options and comments', async () => {
    const indexes = (await shapeLines(database.admin, place, 'index')).filter((line) => /_idx /.test(line))
    expect(indexes).toEqual([
      'CREATE INDEX companies_region_idx ON companies USING btree (tenant_id, region DESC, code NULLS FIRST) WITH (deduplicate_items=off) t',
      'CREATE UNIQUE INDEX companies_name_idx ON companies USING btree (tenant_id, name COLLATE "C" text_pattern_ops DESC NULLS LAST) INCLUDE (region) f',
    ])
    const relations = await shapeLines(database.admin, place, 'relation')
    expect(relations.find((line) => line.startsWith('i companies_name_idx'))).toContain('by name')
  })

  test('makes foreign keys composite and keeps tenant_id out of what ON DELETE sets', async () => {
    const keys = await shapeLines(database.admin, place, 'constraint')
    expect(keys.filter((line) => /FOREIGN|num_nulls/.test(line))).toEqual([
      'people backup FOREIGN KEY (tenant_id, backup_id) REFERENCES companies(tenant_id, id) ON DELETE SET NULL (backup_id) DEFERRABLE INITIALLY DEFERRED the second choice',
      'people home FOREIGN KEY (tenant_id, region, code) REFERENCES people(tenant_id, region, code) ON DELETE SET NULL (code)',
      'people partner FOREIGN KEY (tenant_id, backup_id, company_id) REFERENCES pairs(tenant_id, one, two) NOT VALID',
      'people people_chief_id_fkey FOREIGN KEY (tenant_id, chief_id) REFERENCES people(tenant_id, id) ON DELETE SET DEFAULT (chief_id)',
      'people people_company_id_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES companies(tenant_id, id) ON UPDATE CASCADE ON DELETE CASCADE',
      'people quickscale_full_partner CHECK ((num_nulls(backup_id, company_id) = ANY (ARRAY[0, 2]))) NOT VALID',
    ])
  })

  test('turns serial into identity with name, type, position and comment kept', async () => {
    const columns = (await shapeLines(database.admin, place, 'column')).filter((line) =>
      line.startsWith('people'),
    )
    expect(columns.slice(0, 3)).toEqual([
      'people 1 id bigint t d',
      'people 10 tenant_id uuid t',
      'people 2 badge smallint t d',
    ])
    expect(await shapeLines(database.admin, place, 'sequence')).toEqual([
      'people_badge_seq smallint 1 1 1 32767 1 f',
      'people_id_seq bigint 1 1 1 9223372036854775807 1 f',
      'people_number_seq integer 100 5 1 2147483647 1 f',
    ])
    const { rows } = await database.admin.query(
      `select last_value, is_called, obj_description('${place.schema}.people_badge_seq'::regclass) as comment
         from ${place.schema}.people_id_seq`,
    )
    expect(rows).toEqual([{ last_value: '5000', is_called: false, comment: 'badges' }])
  })

  test('reads views with the rights of whoever asks and keeps their options and comments', async () => {
    const views = (await shapeLines(database.admin, place, 'relation')).filter((line) =>
      line.startsWith('v '),
    )
    expect(views.map((line) => line.replace(/quickscale_owner=\w+/, 'owner=all'))).toEqual([
      'v adult_names quickscale_owner f f {security_barrier=true,check_option=local,security_invoker=true} {owner=all/quickscale_owner,quickscale_runtime=arwd/quickscale_owner,quickscale_reader=r/quickscale_owner}',
      'v adults quickscale_owner f f {security_invoker=true} {owner=all/quickscale_owner,quickscale_runtime=arwd/quickscale_owner,quickscale_reader=r/quickscale_owner} of age',
    ])
  })

  test('gives every table to quickscale_owner, row security and select, insert, update, delete only', async () => {
    const relations = (await shapeLines(database.admin, place, 'relation')).filter((line) =>
      /^[rS] /.test(line),
    )
    expect(relations.map((line) => line.replace(/quickscale_owner=\w+/, 'owner=all'))).toEqual([
      'S people_badge_seq quickscale_owner f f badges',
      'S people_id_seq quickscale_owner f f',
      'S people_number_seq quickscale_owner f f',
      'r companies quickscale_owner t t {owner=all/quickscale_owner,quickscale_runtime=arwd/quickscale_owner,quickscale_reader=r/quickscale_owner}',
      'r pairs quickscale_owner t t {owner=all/quickscale_owner,quickscale_runtime=arwd/quickscale_owner,quickscale_reader=r/quickscale_owner}',
      'r people quickscale_owner t t {owner=all/quickscale_owner,quickscale_runtime=arwd/quickscale_owner,quickscale_reader=r/quickscale_owner}',
    ])
  })
})

test('in a database of its own tenant_id trails unique keys, and other indexes are as their author wrote them', async () => {
  const place = await database.place({ kind: 'database', tenantId: randomUUID() }, SHAPE)
  const keys = await shapeLines(database.admin, place, 'constraint')
  expect(keys.filter((line) => /PRIMARY|UNIQUE/.test(line))).toEqual([
    'companies companies_code_key UNIQUE NULLS NOT DISTINCT (code, tenant_id) INCLUDE (name) ours to keep',
    'companies companies_pkey PRIMARY KEY (id, tenant_id)',
    'companies companies_place_key UNIQUE (region, name, tenant_id) DEFERRABLE INITIALLY DEFERRED',
    'pairs pairs_pkey PRIMARY KEY (one, two, tenant_id)',
    'people people_badge_key UNIQUE (badge, tenant_id)',
    'people people_pkey PRIMARY KEY (id, tenant_id)',
    'people people_region_code_key UNIQUE (region, code, tenant_id)',
  ])
  const indexes = (await shapeLines(database.admin, place, 'index')).filter((line) => /_idx /.test(line))
  expect(indexes).toEqual([
    'CREATE INDEX companies_region_idx ON companies USING btree (region DESC, code NULLS FIRST) WITH (deduplicate_items=off) t',
    'CREATE UNIQUE INDEX companies_name_idx ON companies USING btree (name COLLATE "C" text_pattern_ops DESC NULLS LAST, tenant_id) INCLUDE (region) f',
  ])
})

test('the three walls stand around the same shape, byte for byte', async () => {
  const shapes = []
  for (const wall of walls()) {
    const place = await database.place(wall, SHAPE, 'create table later (id integer primary key)')
    shapes.push(await snapshotOfShape(database.admin, place))
  }
  expect(shapes[0]?.length).toBeGreaterThan(60)
  expect(shapes[1]).toEqual(shapes[0])
  expect(shapes[2]).toEqual(shapes[0]?.map(inSilo).sort())
})

test('each wall has its own default, check, policy and grantee', async () => {
  for (const wall of walls()) {
    const { schema } = await database.place(wall, 'create table notes (id integer primary key)')
    const { rows } = await database.admin.query(
      `select pg_get_expr(adbin, adrelid) as default, pg_get_expr(polqual, polrelid) as policy,
              relacl::text ~ 'quickscale_silo=' as silo,
              (select pg_get_constraintdef(oid) from pg_constraint
                where conrelid = pg_class.oid and conname = 'quickscale_tenant_own') as check
         from pg_class join pg_attrdef on adrelid = pg_class.oid join pg_policy on polrelid = pg_class.oid
        where pg_class.oid = '${schema}.notes'::regclass`,
    )
    const own = wall.kind === 'rls' ? '' : `'${wall.tenantId}'::uuid`
    expect(rows).toEqual([
      {
        default: own || 'quickscale.tenant_id()',
        check: own ? `CHECK ((tenant_id = ${own}))` : null,
        policy:
          wall.kind === 'database' ? 'quickscale.gate()' : expect.stringContaining('quickscale.context'),
        silo: wall.kind === 'database',
      },
    ])
  }
})

test('a second completion changes no row of the catalogs', async () => {
  for (const wall of walls()) {
    const place = await database.place(wall, SHAPE)
    const before = await snapshotOfRows(database.admin, place)
    await database.admin.query('begin')
    await completeLayout(database.admin, place)
    await database.admin.query('commit')
    expect(await snapshotOfRows(database.admin, place)).toEqual(before)
    const reference = await database.place(wall, SHAPE)
    expect(await snapshotOfRows(database.admin, reference)).not.toEqual(before)
  }
})

test('a cloned template becomes the same as a place made for the tenant', async () => {
  const tenantId = randomUUID()
  const template = await database.place({ kind: 'database', tenantId: null }, SHAPE)
  const made = await database.place({ kind: 'database', tenantId }, SHAPE)
  for (const _ of ['first', 'repeated']) {
    await database.admin.query('begin')
    await raiseSiloWall(database.admin, { schema: template.schema, tenantId })
    await database.admin.query('commit')
  }
  const raised = { schema: template.schema, wall: made.wall }
  await database.migrate(raised, 'create table later (id integer primary key)')
  await database.migrate(made, 'create table later (id integer primary key)')
  expect(await snapshotOfShape(database.admin, raised)).toEqual(await snapshotOfShape(database.admin, made))
  const tenant = await database.tenant(raised, tenantId)
  const { rows } = await tenant('insert into pairs (one, two) values (1, 2) returning tenant_id')
  expect(rows).toEqual([{ tenant_id: tenantId }])
})

describe.each(['rls', 'schema', 'database'] as const)('a tenant under %s', (kind) => {
  const CRM = `
    create table companies (id integer primary key, name text not null unique);
    create table contacts (
      id serial primary key,
      company_id integer not null references companies on delete cascade,
      backup_id integer references companies on delete set null,
      parent_id integer not null default 1 references companies on delete set default
    );
    create view names as select name from companies;`

  test('may use the same ids and unique values as another, and sees its own rows only', async () => {
    const { one, two } = await twoTenants(kind, CRM)
    for (const { query } of [one, two]) {
      await query(`insert into companies values (1, 'Same')`)
      await query('insert into contacts (company_id) values (1)')
    }
    for (const { id, query } of [one, two]) {
      expect((await query('select tenant_id from companies')).rows).toEqual([{ tenant_id: id }])
      expect((await query('select name from names')).rows).toEqual([{ name: 'Same' }])
      expect((await failureOf(query(`insert into companies values (2, 'Same')`))).constraint).toBe(
        'companies_name_key',
      )
      expect((await failureOf(query(`insert into companies values (1, 'Other')`))).constraint).toBe(
        'companies_pkey',
      )
    }
  })

  test('names its unique keys to ON CONFLICT as tenant_id and the columns, in any order', async () => {
    const { one, two } = await twoTenants(kind, CRM)
    await two.query(`insert into companies values (1, 'Same')`)
    const insert = `insert into companies values (1, 'Same') on conflict`
    for (const keys of ['(tenant_id, id)', '(tenant_id, name)', '(name, tenant_id)']) {
      await one.query(`${insert} ${keys} do update set id = companies.id + 1`)
    }
    expect((await one.query('select id from companies')).rows).toEqual([{ id: 3 }])
    expect((await failureOf(one.query(`${insert} (name) do nothing`))).code).toBe('42P10')
    expect((await two.query('select id from companies')).rows).toEqual([{ id: 1 }])
  })

  test("cannot reference another tenant's row", async () => {
    const { one, two } = await twoTenants(kind, CRM)
    await one.query(`insert into companies values (1, 'A'), (7, 'B')`)
    await two.query(`insert into companies values (1, 'C')`)
    const failure = await failureOf(two.query('insert into contacts (company_id) values (7)'))
    expect(failure).toMatchObject({ code: '23503', constraint: 'contacts_company_id_fkey' })
  })

  test("cannot write under another tenant's id", async () => {
    const { one, two } = await twoTenants(kind, CRM)
    await one.query(`insert into companies values (1, 'A')`)
    const refused = kind === 'database' ? '23514' : '42501'
    const changed = await failureOf(one.query('update companies set tenant_id = $1', [two.id]))
    const inserted = await failureOf(
      one.query(`insert into companies (id, name, tenant_id) values (2, 'B', $1)`, [two.id]),
    )
    expect([changed.code, inserted.code]).toEqual([refused, refused])
  })

  test('keeps the effects of ON DELETE CASCADE, SET NULL and SET DEFAULT to itself', async () => {
    const { one, two } = await twoTenants(kind, CRM)
    for (const { query } of [one, two]) {
      await query(`insert into companies values (1, 'A'), (2, 'B'), (3, 'C'), (4, 'D')`)
      await query(
        'insert into contacts (id, company_id, backup_id, parent_id) values (1, 2, 3, 4), (2, 1, 3, 4)',
      )
    }
    await one.query('delete from companies where id > 1')
    const contacts = 'select id, company_id, backup_id, parent_id, tenant_id from contacts order by id'
    expect((await one.query(contacts)).rows).toEqual([
      { id: 2, company_id: 1, backup_id: null, parent_id: 1, tenant_id: one.id },
    ])
    expect((await two.query(contacts)).rows).toEqual([
      { id: 1, company_id: 2, backup_id: 3, parent_id: 4, tenant_id: two.id },
      { id: 2, company_id: 1, backup_id: 3, parent_id: 4, tenant_id: two.id },
    ])
  })

  test('gets numbers from identity columns without any right on a sequence', async () => {
    const { one } = await twoTenants(kind, CRM)
    await one.query(`insert into companies values (1, 'A')`)
    expect((await one.query('insert into contacts (company_id) values (1) returning id')).rows).toEqual([
      { id: 1 },
    ])
    for (const sql of [`select nextval('contacts_id_seq')`, 'select last_value from contacts_id_seq']) {
      expect((await failureOf(one.query(sql))).code).toBe('42501')
    }
  })

  test('may not truncate, alter or reference its tables', async () => {
    const { one } = await twoTenants(kind, CRM)
    for (const sql of [
      'truncate companies cascade',
      'alter table companies disable row level security',
      'alter table companies no force row level security',
      'drop policy quickscale_tenant on companies',
      'drop table contacts',
      'create table more (id integer)',
    ]) {
      expect({ sql, code: (await failureOf(one.query(sql))).code }).toEqual({ sql, code: '42501' })
    }
  })

  test('is reached in a sealed transaction only, through tables and through views', async () => {
    const { one } = await twoTenants(kind, CRM)
    await one.query(`insert into companies values (1, 'A')`)
    const { schema } = one.place
    for (const sql of [
      `select * from ${schema}.companies`,
      `select * from ${schema}.names`,
      `update ${schema}.companies set name = 'B'`,
      `insert into ${schema}.companies (id, name, tenant_id) values (2, 'B', '${one.id}')`,
      `delete from ${schema}.companies`,
    ]) {
      expect({ sql, code: (await failureOf(database.login.query(sql))).code }).toEqual({ sql, code: 'QS006' })
    }
    expect((await one.query('select name from companies')).rows).toEqual([{ name: 'A' }])
  })

  test('MATCH FULL still demands all columns or none', async () => {
    const { one } = await twoTenants(
      kind,
      `${PAIRS} create table uses (id integer primary key, one integer, two integer,
         foreign key (one, two) references pairs match full)`,
    )
    await one.query('insert into pairs values (1, 2)')
    await one.query('insert into uses values (1, 1, 2), (2, null, null)')
    const mixed = await failureOf(one.query('insert into uses values (3, 1, null)'))
    const missing = await failureOf(one.query('insert into uses values (4, 2, 1)'))
    expect([mixed.code, missing.code]).toEqual(['23514', '23503'])
  })

  test('deferred keys and foreign keys still wait for the end of the transaction', async () => {
    const { one } = await twoTenants(
      kind,
      `create table companies (id integer primary key, rank integer unique deferrable initially deferred);
       create table people (
         id integer primary key,
         company_id integer references companies deferrable initially deferred,
         chief_id integer references people (id) deferrable initially deferred
       )`,
    )
    await one.query(
      `with person as (insert into people values (1, 9, 2)),
            chief as (insert into people values (2, 10))
       insert into companies values (9, 1), (10, 2)`,
    )
    await one.query('update companies set rank = 3 - rank')
    expect((await one.query('select id, rank from companies order by id')).rows).toEqual([
      { id: 9, rank: 2 },
      { id: 10, rank: 1 },
    ])
    for (const [values, constraint] of [
      ['(3, 11, 1)', 'people_company_id_fkey'],
      ['(3, 9, 4)', 'people_chief_id_fkey'],
    ]) {
      const failure = await failureOf(one.query(`insert into people values ${values}`))
      expect(failure).toMatchObject({ code: '23503', constraint })
    }
  })
})
