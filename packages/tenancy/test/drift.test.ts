import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { strategies, TestInstallation } from './support/installation.ts'

describe('the drift check', () => {
  let installation: TestInstallation

  beforeAll(async () => {
    const plans = Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }]))
    const migrations = ['migrations', 'reference'].map((name) =>
      fileURLToPath(new URL(`./support/${name}`, import.meta.url)),
    )
    installation = await TestInstallation.open('rls', {
      migrations,
      plans: { only: { strategy: 'rls' }, ...plans },
    })
    for (const plan of strategies)
      await installation.tenancy.tenants.create({ slug: `on-${plan}`, name: plan, plan })
  })
  afterAll(() => installation.close())

  /** As an administrator who goes around the library. */
  async function byHand<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${database}`
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  test('finds nothing where nobody touched anything, and changes nothing', async () => {
    const before = await byHand(`${installation.name}_pool`, schemasOf)
    expect(await installation.tenancy.drift()).toEqual({ ok: true, places: 4, differences: [], failed: [] })
    expect(await byHand(`${installation.name}_pool`, schemasOf)).toEqual(before)
  })

  test('and the doctor take a reference table as it is, and SQL over it needs no help', async () => {
    const { findings } = await installation.tenancy.doctor()
    expect(findings.filter(({ level }) => level === 'error')).toEqual([])
    for (const slug of ['one', 'on-schema', 'on-database']) {
      const tenant = installation.tenancy.tenant(slug)
      const grouped = 'select code, name, count(*)::integer as n from country group by code order by code'
      expect(await tenant.explainSql(grouped)).toEqual({ text: grouped, changes: [] })
      expect((await tenant.query(grouped)).rows).toHaveLength(2)
      await tenant.query(`insert into note (id, body, country) values (7, 'x', 'DE')`)
      const joined =
        'select name, body, count(*)::integer as n from country join note on country = code group by code, id'
      expect((await tenant.explainSql(joined)).changes).toMatchObject([{ inserted: ' "note"."tenant_id",' }])
      expect((await tenant.query(joined)).rows).toEqual([{ name: 'Germany', body: 'x', n: 1 }])
      await expect(
        tenant.query(`insert into country values ('DE', 'x') on conflict (code) do nothing`),
      ).rejects.toMatchObject({ code: '42501' })
    }
  })

  test('names what was made, lost and changed by hand in each kind of place, with a remedy', async () => {
    for (const slug of ['one', 'on-schema', 'on-database']) {
      const { database, schema } = await placeOf(slug)
      await byHand(database, (client) =>
        client.query(
          `set search_path to "${schema}"; create index by_hand on note (body); alter table note alter column body drop not null;
           update country set name = 'Allemagne' where code = 'DE'; grant insert on country to quickscale_runtime;
           drop policy quickscale_tenant on author; alter table note drop constraint note_pkey cascade`,
        ),
      )
    }
    const { ok, places, differences } = await installation.tenancy.drift()
    expect({ ok, places }).toEqual({ ok: false, places: 4 })
    expect(new Set(differences.map(({ schema }) => schema)).size).toBe(2)
    for (const slug of ['one', 'on-schema', 'on-database']) {
      const { database, schema } = await placeOf(slug)
      const here = differences.filter(
        (difference) => difference.database === database && difference.schema === schema,
      )
      const described = here.map(({ kind, object, expected, found }) =>
        [kind, object, expected === null ? 'new' : found === null ? 'lost' : 'changed'].join(' '),
      )
      expect(described).toEqual(
        expect.arrayContaining([
          'index by_hand new',
          'column note.body changed',
          'policy author.quickscale_tenant lost',
          'constraint note.note_pkey lost',
          'rows country changed',
          'table country changed',
        ]),
      )
      for (const { remedy } of here) expect(remedy).toMatch(/\w.*\.$/)
    }
    expect(JSON.parse(JSON.stringify(differences))).toEqual(differences)
  })

  async function placeOf(slug: string): Promise<{ database: string; schema: string }> {
    const placement = await installation.tenancy.tenants.placement(slug)
    return { database: placement.databaseName, schema: placement.schemaName }
  }
})

async function schemasOf(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    'select nspname::text as name from pg_namespace order by 1',
  )
  return rows.map(({ name }) => name)
}
