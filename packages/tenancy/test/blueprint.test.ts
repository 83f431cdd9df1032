import { setTimeout as sleep } from 'node:timers/promises'
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

test('who takes a tenant away ends the statement of a killed process that still makes its place', async () => {
  const other = await installation.another('schema', { migrations: directories })
  await client.query(`
    create function hold_up() returns event_trigger language plpgsql as
      $$ begin perform pg_advisory_xact_lock(4711); end $$;
    create event trigger hold_up on ddl_command_end when tag in ('CREATE SCHEMA') execute function hold_up();
    select pg_advisory_lock(4711)`)
  const outcome = installation.tenancy.tenants.create({ slug: 'four', name: 'Four', plan: 'only' }).then(
    () => 'made',
    () => 'failed',
  )
  const isHeldUp = async () =>
    (await client.query("select from pg_locks where locktype = 'advisory' and objid = 4711 and not granted"))
      .rowCount === 1
  while (!(await isHeldUp())) await sleep(10)
  await installation.inCatalog(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where application_name = 'quickscale locks' and datname = current_database()`,
  )
  const { id } = await installation.tenancy.tenants.get('four')
  await other.tenants.delete('four', { graceMs: 0 })
  await client.query('select pg_advisory_unlock(4711); drop event trigger hold_up; drop function hold_up()')
  expect(await outcome).toBe('failed')
  const { rows } = await client.query(
    `select nspname::text as left from pg_namespace where nspname = $1
     union all select 'fence' from quickscale.placement where tenant_id = $2`,
    [tenantSchemaName(id), id],
  )
  expect(rows).toEqual([])
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
