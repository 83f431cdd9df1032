import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { QuickScaleError } from '../src/errors.ts'
import type { Wall } from '../src/layout/compile.ts'
import { fitMigration } from '../src/layout/fit.ts'
import { failureOf, LayoutDatabase, type TestPlace, type TestTenant } from './support/layout-database.ts'
import { shapeLines, snapshotOfShape } from './support/layout-snapshot.ts'

const FIRST = `
  create table companies (id integer primary key, name text not null, unique (name), constraint both_keys unique (name, id));
  create table contacts (id serial primary key, company_id integer, email text, name text);
  create view company_names as select id, name from companies;`

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

/** A place after the first migration, with the same rows in it for two tenants where the strategy shares it. */
async function inhabited(kind: Wall['kind']): Promise<{ place: TestPlace; tenants: TestTenant[] }> {
  const ids = kind === 'rls' ? [randomUUID(), randomUUID()] : [randomUUID()]
  const place = await database.place(kind === 'rls' ? { kind } : { kind, tenantId: ids[0] ?? '' }, FIRST)
  const tenants = await Promise.all(ids.map((id) => database.tenant(place, id)))
  for (const tenant of tenants) {
    await tenant(`insert into companies values (1, 'A'), (2, 'B')`)
    await tenant(
      `insert into contacts (company_id, email, name) values (1, 'x@example.org', 'X'), (null, 'y@example.org', 'Y')`,
    )
  }
  return { place, tenants }
}

async function constraints(place: TestPlace, table: string): Promise<string[]> {
  const lines = await shapeLines(database.admin, place, 'constraint')
  return lines.filter((line) => line.startsWith(`${table} `))
}

const LATER = [
  `create table deals (
     id integer generated always as identity primary key,
     company_id integer not null references companies (id) on delete cascade,
     contact_id integer references contacts on delete set null deferrable,
     title text not null
   );
   create index on deals (company_id, title);
   create index deals_by_contact on deals (contact_id);`,
  `alter table contacts
     add constraint contacts_company_fkey foreign key (company_id) references companies (id) on delete restrict,
     add column backup_id integer references companies on delete set null,
     add column parent_id integer constraint parent references contacts (id),
     add column number serial,
     add unique (email), add constraint contacts_name_key unique (name, id);
   create unique index on contacts (number);
   create unique index contacts_person_idx on contacts (email, name);
   create index on contacts (name);
   create index contacts_email_idx on contacts using btree (email text_pattern_ops desc) include (name);`,
  `create or replace view company_names as select id, name, length(name) as length from companies;
   create view everyone as select id, name from contacts union all select id, name from company_names;
   alter table companies rename to firms;
   alter table contacts rename column name to full_name;
   create table "Größen" (id integer primary key, "firm ä" integer references firms /* unchanged */, unique ("firm ä"));`,
  `alter table "Größen" drop constraint "Größen_pkey", add primary key ("firm ä", id);
   drop index deals_by_contact;
   create unique index deals_by_contact on deals (contact_id, title);
   alter table deals add foreign key (company_id, title) references firms (id, name) match full not valid;`,
] as const

describe.each(['rls', 'schema', 'database'] as const)('migrations over complete tables under %s', (kind) => {
  const unique = (columns: string) =>
    kind === 'database' ? `(${columns}, tenant_id)` : `(tenant_id, ${columns})`
  const plain = (columns: string) => (kind === 'database' ? `(${columns})` : `(tenant_id, ${columns})`)

  test('may reference them, with the rows of every tenant in place', async () => {
    const { place, tenants } = await inhabited(kind)
    await database.migrate(place, LATER[0])
    expect(await constraints(place, 'deals')).toEqual([
      'deals deals_company_id_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES companies(tenant_id, id) ON DELETE CASCADE',
      'deals deals_contact_id_fkey FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts(tenant_id, id) ON DELETE SET NULL (contact_id) DEFERRABLE',
      `deals deals_pkey PRIMARY KEY ${unique('id')}`,
    ])
    for (const tenant of tenants) {
      await tenant(`insert into deals (company_id, title) values (1, 'First')`)
      expect((await failureOf(tenant(`insert into deals (company_id, title) values (9, 'No')`))).code).toBe(
        '23503',
      )
    }
    await tenants[0]?.('delete from companies where id = 1')
    const counts = []
    for (const tenant of tenants) counts.push((await tenant('select from deals')).rowCount)
    expect(counts).toEqual(kind === 'rls' ? [0, 1] : [0])
  })

  test('may add columns, keys, foreign keys and indexes, checked for each tenant by itself', async () => {
    const { place, tenants } = await inhabited(kind)
    await database.migrate(place, LATER[0])
    await database.migrate(place, LATER[1])
    expect(await constraints(place, 'contacts')).toEqual([
      'contacts contacts_backup_id_fkey FOREIGN KEY (tenant_id, backup_id) REFERENCES companies(tenant_id, id) ON DELETE SET NULL (backup_id)',
      'contacts contacts_company_fkey FOREIGN KEY (tenant_id, company_id) REFERENCES companies(tenant_id, id) ON DELETE RESTRICT',
      `contacts contacts_email_key UNIQUE ${unique('email')}`,
      `contacts contacts_name_key UNIQUE ${unique('name, id')}`,
      `contacts contacts_pkey PRIMARY KEY ${unique('id')}`,
      'contacts parent FOREIGN KEY (tenant_id, parent_id) REFERENCES contacts(tenant_id, id)',
    ])
    const indexes = (await shapeLines(database.admin, place, 'index')).filter((line) => /_idx /.test(line))
    expect(indexes).toEqual([
      `CREATE INDEX contacts_email_idx ON contacts USING btree ${plain('email text_pattern_ops DESC')} INCLUDE (name) f`,
      `CREATE INDEX contacts_name_idx ON contacts USING btree ${plain('name')} f`,
      `CREATE INDEX deals_company_id_title_idx ON deals USING btree ${plain('company_id, title')} f`,
      `CREATE UNIQUE INDEX contacts_number_idx ON contacts USING btree ${unique('number')} f`,
      `CREATE UNIQUE INDEX contacts_person_idx ON contacts USING btree ${unique('email, name')} f`,
    ])
    for (const tenant of tenants) {
      const { rows } = await tenant(
        `insert into contacts (email) values ('z@example.org') returning id, number`,
      )
      expect(rows[0].number).toBeGreaterThan(2)
      const repeated = await failureOf(tenant(`insert into contacts (email) values ('z@example.org')`))
      expect(repeated.constraint).toBe('contacts_email_key')
    }
  })

  test('end in the same shape whether the place was empty or inhabited, and leave no stand-in', async () => {
    const { place } = await inhabited(kind)
    for (const sql of LATER) await database.migrate(place, sql)
    const tenantId = randomUUID()
    const fresh = await database.place(kind === 'rls' ? { kind } : { kind, tenantId }, FIRST, ...LATER)
    const shape = await snapshotOfShape(database.admin, place)
    expect(shape).toEqual(await snapshotOfShape(database.admin, fresh))
    expect(shape.filter((line) => line.includes('quickscale_key_'))).toEqual([])
    expect(await constraints(place, '"Größen"')).toEqual([
      '"Größen" Größen_firm ä_fkey FOREIGN KEY (tenant_id, "firm ä") REFERENCES firms(tenant_id, id)',
      `"Größen" Größen_firm ä_key UNIQUE ${unique('"firm ä"')}`,
      `"Größen" Größen_pkey PRIMARY KEY ${unique('"firm ä", id')}`,
    ])
    const views = shape.filter((line) => line.startsWith('relation v'))
    expect(views).toHaveLength(2)
    for (const view of views) expect(view).toContain('security_invoker=true')
  })

  test("are refused by the database when a tenant's rows do not meet a new foreign key", async () => {
    const { place, tenants } = await inhabited(kind)
    await tenants[0]?.('update contacts set company_id = 3 where company_id is null')
    const sql = 'alter table contacts add foreign key (company_id) references companies (id)'
    expect(await failureOf(database.migrate(place, sql))).toMatchObject({ code: '23503' })
    await database.migrate(place, `${sql} not valid`)
    expect((await constraints(place, 'contacts')).join()).toContain(
      'REFERENCES companies(tenant_id, id) NOT VALID',
    )
  })

  test('have their keys and indexes built once: the text says already what completion wants', async () => {
    const { place } = await inhabited(kind)
    await database.admin.query('begin')
    const fitted = await fitMigration(database.admin, {
      ...place,
      sql: `alter table contacts add primary key (id), add constraint mail unique /* ( */ (email, name) include (id);
            create unique index on contacts (name desc nulls last) include (id);
            create index on contacts using btree (email text_pattern_ops, name)`,
    })
    await database.admin.query('rollback')
    expect(fitted.replace(/\s+/g, ' ')).toBe(
      [
        `alter table contacts add constraint "contacts_pkey" primary key ${unique('id')}, add constraint mail`,
        `unique /* ( */ ${unique('email, name')} include (id);`,
        `create unique index "contacts_name_id_idx" on contacts ${unique('name desc nulls last')} include (id);`,
        `create index "contacts_email_name_idx" on contacts using btree ${plain('email text_pattern_ops, name')}`,
      ].join(' '),
    )
  })

  test('may make views that group by a primary key, of tables that are complete and of new ones', async () => {
    const { place, tenants } = await inhabited(kind)
    await database.migrate(
      place,
      `create table visits (id integer primary key, contact integer, place text, at date);
       alter table contacts rename column id to number;
       alter table contacts add column nick text;
       create view known as
         select upper(c.name) as name, nick, count(*) /* group by */ as people
           from contacts c left join companies on company_id = companies.id group by c.number;
       create view fresh with (security_barrier) as select id, place, at from visits group by (id), 1;
       create or replace view mixed as
         select v.id, v.place, c.name, (select count(*) from companies group by companies.id having name = 'A') as a
           from visits v join contacts c on contact = number group by v.id, c.number;
       create view never as select max(place) from visits group by at`,
    )
    for (const tenant of tenants) {
      await tenant(
        `insert into visits select id, (select min(number) from contacts), place, at
           from (values (1, 'here', date '2026-01-01'), (2, 'there', null)) as given (id, place, at)`,
      )
      const { rows } = await tenant(
        `select (select json_agg(known.* order by name) from known) as known,
                (select json_agg(fresh.* order by id) from fresh) as fresh,
                (select json_agg(mixed.* order by id) from mixed) as mixed`,
      )
      const known = [
        { name: 'X', nick: null, people: 1 },
        { name: 'Y', nick: null, people: 1 },
      ]
      const fresh = [
        { id: 1, place: 'here', at: '2026-01-01' },
        { id: 2, place: 'there', at: null },
      ]
      const mixed = fresh.map(({ id, place }) => ({ id, place, name: 'X', a: 1 }))
      expect(rows[0]).toEqual({ known, fresh, mixed })
    }
    await database.migrate(place, 'alter table visits add column note json')
    const view = 'create view notes as select id, note from visits group by id'
    await database.migrate(place, view)
    const impossible = view.replace('visits', 'papers').replace('notes', 'unsorted')
    const failure = await database
      .migrate(place, `create table papers (id integer primary key, note json); ${impossible}`)
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({
      details: {
        refusals: [{ kind: 'view', object: 'unsorted', reason: expect.stringContaining('papers_pkey') }],
      },
    })
  })

  test('may name tenant_id in front, and get it where it belongs', async () => {
    const { place, tenants } = await inhabited(kind)
    await database.migrate(
      place,
      `alter table contacts add constraint mail unique (tenant_id, email), add column mentor text;
       alter table contacts add constraint mentor
         foreign key (tenant_id, mentor) references contacts (tenant_id, email) deferrable;
       comment on constraint mentor on contacts is 'by mail';
       create index by_tenant on contacts (tenant_id);
       create index by_name on contacts (tenant_id, name desc)`,
    )
    expect(await constraints(place, 'contacts')).toEqual([
      `contacts contacts_pkey PRIMARY KEY ${unique('id')}`,
      `contacts mail UNIQUE ${unique('email')}`,
      'contacts mentor FOREIGN KEY (tenant_id, mentor) REFERENCES contacts(tenant_id, email) DEFERRABLE by mail',
    ])
    const indexes = (await shapeLines(database.admin, place, 'index')).filter((line) => /\bby_/.test(line))
    expect(indexes).toEqual([
      `CREATE INDEX by_name ON contacts USING btree ${plain('name DESC')} f`,
      'CREATE INDEX by_tenant ON contacts USING btree (tenant_id) f',
    ])
    for (const tenant of tenants) {
      await tenant(`update contacts set mentor = 'x@example.org' where name = 'Y'`)
      const failure = await failureOf(tenant(`update contacts set mentor = 'z@example.org'`))
      expect(failure).toMatchObject({ code: '23503', constraint: 'mentor' })
    }
  })
})

test('a foreign key is not satisfied by the row of another tenant', async () => {
  const { place, tenants } = await inhabited('rls')
  await tenants[0]?.(`insert into companies values (3, 'C')`)
  await tenants[1]?.('update contacts set company_id = 3 where company_id is null')
  const sql = 'alter table contacts add foreign key (company_id) references companies'
  expect(await failureOf(database.migrate(place, sql))).toMatchObject({
    code: '23503',
    detail: expect.stringContaining('tenant_id, company_id'),
  })
})

test('a table that the migration makes anew is meant, not the complete one of that name', async () => {
  const { place } = await inhabited('rls')
  await database.migrate(
    place,
    `drop view company_names; drop table companies;
     create table companies (id integer primary key, name text unique);
     create table branches (id integer primary key, company integer references companies (id), head integer references contacts)`,
  )
  expect(await constraints(place, 'branches')).toEqual([
    'branches branches_company_fkey FOREIGN KEY (tenant_id, company) REFERENCES companies(tenant_id, id)',
    'branches branches_head_fkey FOREIGN KEY (tenant_id, head) REFERENCES contacts(tenant_id, id)',
    'branches branches_pkey PRIMARY KEY (tenant_id, id)',
  ])
})

test('CREATE TABLE IF NOT EXISTS of a complete table leaves it the one that is meant', async () => {
  const { place } = await inhabited('rls')
  await database.migrate(
    place,
    `create table if not exists companies (id integer primary key);
     create table branches (id integer primary key, company integer references companies)`,
  )
  expect((await constraints(place, 'branches'))[0]).toContain('REFERENCES companies(tenant_id, id)')
})

test('qualified names and comments between their parts do not confuse it', async () => {
  const { place } = await inhabited('rls')
  await database.migrate(
    place,
    `create table branches (id integer primary key, -- é
       company integer references /* é */ "${place.schema}" /* ( */ . /* é */ companies /* ( */ (id));
     alter table only ${place.schema} /* ( */ . contacts add constraint "a(b" unique /* ( */ (email);
     create unique /* on */ index "on (" on only ${place.schema}.contacts /* ( */ using btree /* ( */ (email, id)`,
  )
  expect((await constraints(place, 'branches'))[0]).toContain('REFERENCES companies(tenant_id, id)')
  expect((await constraints(place, 'contacts'))[0]).toBe('contacts a(b UNIQUE (tenant_id, email)')
  const indexes = await shapeLines(database.admin, place, 'index')
  expect(indexes).toContain('CREATE UNIQUE INDEX "on (" ON contacts USING btree (tenant_id, email, id) f')
})

test('the check for MATCH FULL goes when its foreign key goes', async () => {
  const pairs = 'create table pairs (a integer, b integer, primary key (a, b))'
  const place = await database.place(
    { kind: 'rls' },
    `${pairs}; create table uses (id integer primary key, a integer, b integer,
       constraint both_of foreign key (a, b) references pairs match full)`,
  )
  expect((await constraints(place, 'uses')).join()).toContain('quickscale_full_both_of')
  await database.migrate(place, 'alter table uses drop constraint both_of')
  expect(await constraints(place, 'uses')).toEqual(['uses uses_pkey PRIMARY KEY (tenant_id, id)'])
})

test('a key that PostgreSQL would have to number is to be named by the author', async () => {
  const { place } = await inhabited('rls')
  const failure = await database
    .migrate(place, 'alter table companies add unique (name)')
    .catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(QuickScaleError)
  expect(failure).toMatchObject({
    details: {
      refusals: [{ kind: 'key', object: 'companies_name_key', remedy: 'Name the key in the migration.' }],
    },
  })
  await database.migrate(place, 'alter table companies add constraint again unique (name)')
  expect((await constraints(place, 'companies'))[0]).toBe('companies again UNIQUE (tenant_id, name)')
})

test('a text that does not parse is refused before anything runs', async () => {
  const { place } = await inhabited('rls')
  const failure = await database
    .migrate(place, 'create tabel oops (id integer)')
    .catch((error: unknown) => error)
  expect(failure).toMatchObject({
    code: 'LAYOUT_REFUSED',
    message: expect.stringContaining('syntax error at or near "tabel"'),
  })
})
