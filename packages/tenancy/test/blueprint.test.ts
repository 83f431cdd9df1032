import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { tenantSchemaName } from '../src/identifiers.ts'
import { drawBlueprint } from '../src/migrations/blueprint.ts'
import { readMigrations } from '../src/migrations/files.ts'
import { TestInstallation } from './support/installation.ts'
import { snapshotOfShape } from './support/layout-snapshot.ts'

const directories = ['migrations', 'reference'].map((name) =>
  fileURLToPath(new URL(`./support/${name}`, import.meta.url)),
)

let installation: TestInstallation
let client: pg.Client

beforeAll(async () => {
  // `one` is made by the migrations, `two` from the blueprint that was drawn then.
  installation = await TestInstallation.open('schema', { migrations: directories })
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${installation.name}_pool`
  client = new pg.Client({ connectionString: url.href })
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await installation.close()
})

const placeOf = async (slug: string) => {
  const { id: tenantId } = await installation.tenancy.tenants.get(slug)
  const schema = tenantSchemaName(tenantId)
  return { tenantId, schema, wall: { kind: 'schema', tenantId } as const }
}

test('a place made from a blueprint has the shape of one that the migrations made, and their records', async () => {
  const [one, two] = [await placeOf('one'), await placeOf('two')]
  expect(await snapshotOfShape(client, two)).toEqual(await snapshotOfShape(client, one))
  const { rows } = await client.query(
    `select array_agg(name || digest order by name) as applied from quickscale.migration
      where schema_name = any ($1) group by schema_name`,
    [[one.schema, two.schema]],
  )
  expect(rows[1]).toEqual(rows[0])
  expect((await installation.tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  const tenant = installation.tenancy.tenant('two')
  await tenant.query("insert into note (id, body) values (1, 'of two')")
  expect((await tenant.query('select body from note')).rows).toEqual([{ body: 'of two' }])
  const countries = await installation.tenancy.tenant('one').query('select * from country order by code')
  expect(countries.rows).toHaveLength(2)
  expect((await tenant.query('select * from country order by code')).rows).toEqual(countries.rows)
})

test('an interrupted place is gone on with by the migrations, and not made from the blueprint', async () => {
  const id = crypto.randomUUID()
  await client.query(`create schema ${tenantSchemaName(id)} authorization quickscale_owner`)
  await installation.tenancy.tenants.create({ slug: 'three', name: 'Three', plan: 'only', id })
  expect(await snapshotOfShape(client, await placeOf('three'))).toEqual(
    await snapshotOfShape(client, await placeOf('one')),
  )
})

test.each([
  ['gives another shape', ['create table note (id integer)']],
  ['cannot be replayed', ['create table nowhere.note (id integer)']],
])('what %s is no blueprint, and leaves nothing behind', async (_what, statements) => {
  const schemas =
    "select array_agg(nspname order by nspname) as names from pg_namespace where nspname ~ '^tenant_'"
  const before = await client.query(schemas)
  const files = await readMigrations(directories)
  const { textFor } = await drawBlueprint(client, await placeOf('one'), files, statements)
  expect(textFor(await placeOf('two'))).toBeNull()
  expect((await client.query(schemas)).rows).toEqual(before.rows)
})
