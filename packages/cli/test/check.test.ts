import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { type CheckReport, checkDump, type LoadedPlace } from '../src/index.ts'

const strategies = ['rls', 'schema', 'database'] as const

function dump(name: string): string {
  return fileURLToPath(new URL(`support/dumps/${name}.sql`, import.meta.url))
}

/** On the server of the test run, so that no server is started for each script. */
function check(name: string, beforeCompare?: (places: readonly LoadedPlace[]) => Promise<void>) {
  return checkDump({ path: dump(name), serverUrl: inject('databaseUrl'), beforeCompare })
}

async function onServer<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Databases and logins of one check; other test files have theirs on the same server. */
function remains(prefix: string): Promise<string[]> {
  return onServer(inject('databaseUrl'), async (client) => {
    const { rows } = await client.query(
      `select datname::text as name from pg_database where starts_with(datname, $1)
       union all select rolname from pg_roles where starts_with(rolname, $1)`,
      [prefix],
    )
    return rows.map(({ name }) => name)
  })
}

describe('a pg_dump of several schemas', () => {
  let report: CheckReport
  let prefix = ''
  let made: string[] = []
  beforeAll(async () => {
    report = await check('plain', async ([place]) => {
      prefix = new URL(place?.url ?? '').pathname.slice(1).split('_')[0] ?? ''
      made = await remains(prefix)
    })
  }, 120_000)

  test('is the same for two tenants under every strategy', () => {
    for (const strategy of strategies) {
      expect(report.strategies[strategy]).toMatchObject({ tables: 5, rows: 18, differences: [] })
    }
    expect(report).toMatchObject({ ok: true, refused: [], original: { tables: 5, rows: 9, views: 2 } })
  })

  test('has the names that two schemas use told apart', () => {
    expect(report.renamed).toContainEqual({ kind: 'table', from: 'sales.order', to: 'sales_order' })
    expect(report.renamed).toContainEqual({ kind: 'index', from: 'sales.order_pkey', to: 'sales_order_pkey' })
  })

  test('has its roles, owners and rights passed over and counted', () => {
    expect(report.ignored).toMatchObject({
      'OWNER TO': 2,
      'GRANT or REVOKE': 2,
      'ALTER DEFAULT PRIVILEGES': 1,
    })
  })

  test('leaves nothing on the server', async () => {
    expect(made.length).toBeGreaterThan(10)
    expect(await remains(prefix)).toEqual([])
  })
})

test('a script written by hand is read as psql reads it', async () => {
  const report = await check('hand-written')
  expect(report).toMatchObject({ ok: true, original: { tables: 3, rows: 2007 }, refused: [] })
  expect(report.ignored).toEqual({
    'CREATE DATABASE': 1,
    'DROP DATABASE': 1,
    'DROP that failed': 1,
    'unknown command \\frobnicate': 1,
  })
}, 120_000)

test('what is refused is explained, with what depends on it, and no row is lost by it', async () => {
  const report = await check('refused')
  expect(report.refused.map(({ kind, object }) => `${kind} ${object}`).sort()).toEqual([
    'collation own_order',
    'column type held.whole',
    'column type sized.kin',
    'column type sized.shape',
    'column type sized.source',
    'column type sized.sources',
    'default value searched.found',
    'function words(pg_catalog.text)',
    'index searched_words',
    'index sorted_otherwise',
    'inheritance child',
    'inheritance parent',
    'materialized view counted',
    'operator !==(integer,integer)',
    'operator ===(integer,integer)',
    'text search configuration own',
    'typed table shaped',
    'unlogged table lost',
    'view cleaned_kept',
    'view family',
    'view twice',
  ])
  for (const { reason, remedy } of report.refused) {
    expect(reason).not.toBe('')
    expect(remedy).not.toBe('')
  }
  expect(report).toMatchObject({ ok: true, original: { tables: 9, rows: 9 } })
  for (const strategy of strategies)
    expect(report.strategies[strategy]).toMatchObject({ tables: 9, rows: 18, differences: [] })
}, 120_000)

test('an ugly dump is the same for two tenants under every strategy, and nothing of it is refused', async () => {
  const report = await check('ugly')
  expect(report).toMatchObject({ ok: true, refused: [], original: { tables: 8, rows: 20, views: 2 } })
  for (const strategy of strategies)
    expect(report.strategies[strategy]).toMatchObject({ tables: 8, rows: 40, differences: [] })
  expect(report.renamed).toContainEqual({
    kind: 'column',
    from: 'sales.ticket.tenant_id',
    to: 'own_tenant_id',
  })
  expect(report.renamed).toContainEqual({
    kind: 'column in function',
    from: 'sales.mark_ticket(): tenant_id',
    to: 'own_tenant_id',
  })
}, 120_000)

test('constraints that their rows do not keep, that ask other tables or refer to partitions are as they were', async () => {
  const report = await check('invalid')
  for (const strategy of strategies)
    expect(report.strategies[strategy]).toMatchObject({ tables: 7, rows: 32, differences: [] })
  expect(report).toMatchObject({ ok: true, refused: [], original: { tables: 7, rows: 16 } })
  expect(report.renamed).toContainEqual({
    kind: 'table',
    from: 'public.quickscale_note',
    to: 'own_quickscale_note',
  })
  expect(report.renamed).toContainEqual({ kind: 'type', from: 'shop.kind', to: 'shop_kind' })
}, 120_000)

test('keys of periods, and constraints that are not enforced, are as they were', async () => {
  const version = await onServer(inject('databaseUrl'), (client) => client.query('show server_version_num'))
  // WITHOUT OVERLAPS, NOT ENFORCED and NOT NULL NOT VALID came with 18.
  if (Number(version.rows[0].server_version_num) < 180000) return
  const report = await check('periods')
  for (const strategy of strategies)
    expect(report.strategies[strategy]).toMatchObject({ tables: 3, rows: 12, differences: [] })
  expect(report).toMatchObject({ ok: true, refused: [] })
}, 120_000)

interface Change {
  readonly what: string
  readonly sql: (place: LoadedPlace) => string
  readonly kind: string
  readonly object: RegExp
}

/** Those of a group are made in one check: none of them hides another. */
const changes: readonly (readonly Change[])[] = [
  [
    {
      what: 'a changed value',
      sql: ({ tenantId }) =>
        `update person set name = name || ' ' where id = 1 and tenant_id = '${tenantId}'`,
      kind: 'rows',
      object: /^public\.person$/,
    },
    {
      what: 'a dropped foreign key',
      sql: () => 'alter table pet drop constraint pet_owner_fkey',
      kind: 'constraint',
      object: /pet_owner_fkey$/,
    },
    {
      what: 'a dropped check, by a probe',
      sql: () => 'alter table pet drop constraint pet_kind_check',
      kind: 'probe',
      object: /pet_kind_check$/,
    },
    {
      what: 'a lost default',
      sql: () => 'alter table person alter column name drop default',
      kind: 'column',
      object: /^public\.person\.name$/,
    },
    {
      what: 'a broken view',
      sql: () =>
        `create or replace view cats with (security_invoker = true) as select id, owner, kind from pet where kind = 'dog'`,
      kind: 'view',
      object: /^public\.cats$/,
    },
    {
      what: 'a sequence that starts over',
      sql: () => "select setval(pg_get_serial_sequence('person', 'id'), 1)",
      kind: 'sequence',
      object: /^public\.person\.id$/,
    },
    {
      what: 'an index that was made anew on another column',
      sql: () => 'drop index pet_kind_idx; create index pet_kind_idx on pet (tenant_id, owner)',
      kind: 'index',
      object: /^public\.pet_kind_idx$/,
    },
  ],
  [
    {
      what: 'a lost row',
      sql: ({ tenantId }) => `delete from pet where id = 7 and tenant_id = '${tenantId}'`,
      kind: 'rows',
      object: /^public\.pet$/,
    },
    {
      what: 'a row with nothing to refer to',
      sql: ({ tenantId }) =>
        `set session_replication_role = replica; delete from person where id = 2 and tenant_id = '${tenantId}'`,
      kind: 'orphan',
      object: /^public\.pet\./,
    },
    {
      what: 'a dropped key, by a probe',
      sql: () => 'alter table pet drop constraint pet_pkey',
      kind: 'probe',
      object: /^public\.pet$/,
    },
    {
      what: 'a dropped NOT NULL, by a probe',
      sql: () => 'alter table person alter column name drop not null',
      kind: 'probe',
      object: /^public\.person\.name$/,
    },
    {
      what: 'a dropped view',
      sql: () => 'drop view cats',
      kind: 'view',
      object: /^public\.cats$/,
    },
    {
      what: 'an index that the planner cannot use',
      sql: () => "update pg_index set indisvalid = false where indexrelid = 'pet_kind_idx'::regclass",
      kind: 'plan',
      object: /^public\.pet_kind_idx$/,
    },
  ],
  [
    {
      what: 'a right that tenants have not any more',
      sql: () => 'revoke select on person from quickscale_runtime, quickscale_silo',
      kind: 'rows',
      object: /^public\.person$/,
    },
  ],
]

describe.each(changes.map((group) => ({ group })))('whatever is changed in a place is found', ({ group }) => {
  let report: CheckReport
  beforeAll(async () => {
    report = await check('hand-written', async (places) => {
      const touched = new Set<string>()
      for (const place of places) {
        const name = `${place.url} ${place.schema}`
        // A change of the shape is made once per place; of rows, for the first tenant that lives there.
        if (touched.has(name)) continue
        touched.add(name)
        for (const { sql } of group) {
          await onServer(place.url, async (client) => {
            await client.query(`set search_path to ${place.schema}`)
            await client.query(sql(place))
          })
        }
      }
    })
  })

  test.each(group)('$what', ({ kind, object }) => {
    expect(report.ok).toBe(false)
    for (const strategy of strategies) {
      expect(report.strategies[strategy].differences, strategy).toContainEqual(
        expect.objectContaining({ kind, object: expect.stringMatching(object) }),
      )
    }
  })
})
