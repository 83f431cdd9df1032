import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
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
  client = new pg.Client({ connectionString: urlOf('pool') })
  await client.connect()
})
afterAll(async () => {
  await client.end()
  await installation.close()
})

function urlOf(database: string): string {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${installation.name}_${database}`
  return url.href
}

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

/** Holds up whoever makes a schema, until `release` is called. */
async function holdUp(
  where: 'as it begins' | 'after CREATE SCHEMA',
): Promise<{ reached: () => Promise<void>; release: () => Promise<void> }> {
  const begins = where === 'as it begins'
  const lock = begins ? "hashtextextended('quickscale unscoped writers', 0)" : '4711'
  if (!begins) {
    await client.query(`
      create function hold_up() returns event_trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(4711); end $$;
      create event trigger hold_up on ddl_command_end when tag in ('CREATE SCHEMA') execute function hold_up()`)
  }
  await client.query(`select pg_advisory_lock(${lock})`)
  const { rows } = await client.query('select pg_backend_pid() as pid')
  return {
    reached: async () => {
      const waiting = 'select from pg_stat_activity where $1 = any(pg_blocking_pids(pid))'
      await expect
        .poll(async () => (await client.query(waiting, [rows[0].pid])).rowCount, { timeout: 20_000 })
        .toBe(1)
    },
    release: async () => {
      await client.query(`select pg_advisory_unlock(${lock})`)
      if (!begins) await client.query('drop event trigger hold_up; drop function hold_up()')
    },
  }
}

describe.each(['as it begins', 'after CREATE SCHEMA'] as const)(
  'what a killed process has running, %s,',
  (where) => {
    test.each(['from its blueprint', 'by the migrations'])(
      'and makes a place %s, leaves nothing of a tenant that is taken away',
      async (how) => {
        const other = await installation.another('schema', { migrations: directories })
        // A process draws its own.
        const maker =
          how === 'from its blueprint'
            ? installation.tenancy
            : await installation.another('schema', { migrations: directories })
        const slug = `gone-${crypto.randomUUID().slice(0, 8)}`
        const held = await holdUp(where)
        const outcome = maker.tenants.create({ slug, name: 'Gone', plan: 'only' }).then(
          () => 'made',
          () => 'failed',
        )
        await held.reached()
        await expect.poll(() => installation.tenancy.tenants.get(slug).catch(() => null)).not.toBeNull()
        await installation.inCatalog(
          `select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where application_name = 'quickscale locks' and datname = current_database()`,
        )
        const { id } = await installation.tenancy.tenants.get(slug)
        await other.tenants.delete(slug, { graceMs: 0 })
        await held.release()
        expect(await outcome).toBe('failed')
        const { rows } = await client.query(
          `select nspname::text as left from pg_namespace where nspname = $1
       union all select 'fence' from quickscale.placement where tenant_id = $2`,
          [tenantSchemaName(id), id],
        )
        expect(rows).toEqual([])
      },
    )
  },
)

describe('a place that is made beside the record of its tenant', () => {
  const schemasLike = (id: string) =>
    client.query('select from pg_namespace where nspname = $1', [tenantSchemaName(id)])

  /** Begins a creation that cannot be recorded before `record` is called, and waits until its place only waits for that. */
  async function createUnrecorded(wanted: { slug: string; id: string }) {
    const catalog = new pg.Client({ connectionString: urlOf('catalog') })
    await catalog.connect()
    await catalog.query('begin; lock table catalog.tenant in exclusive mode')
    const creation = installation.tenancy.tenants.create({ name: 'Beside', plan: 'only', ...wanted })
    const outcome = creation.catch((error: unknown) => error)
    await expect
      .poll(
        async () =>
          (
            await client.query(
              `select from pg_locks join pg_stat_activity using (pid)
                where locktype = 'advisory' and granted and state = 'idle in transaction'
                  and (classid::bigint << 32 | objid::bigint) = hashtextextended('quickscale making ' || $1, 0)`,
              [wanted.id],
            )
          ).rowCount,
      )
      .toBe(1)
    return {
      outcome,
      record: async () => {
        await catalog.query('commit')
        await catalog.end()
      },
    }
  }

  test('appears when that is there, and not before', async () => {
    const id = crypto.randomUUID()
    const { outcome, record } = await createUnrecorded({ slug: 'beside', id })
    expect((await schemasLike(id)).rowCount).toBe(0)
    await record()
    expect(await outcome).toMatchObject({ id, state: 'active' })
    await installation.tenancy.tenant('beside').query("insert into note (id, body) values (1, 'of beside')")
  })

  test('is gone when its tenant cannot be recorded', async () => {
    const { tenants } = installation.tenancy
    const { id } = await tenants.create({ slug: 'before', name: 'Before', plan: 'only' })
    await tenants.delete('before')
    const { outcome, record } = await createUnrecorded({ slug: 'again', id })
    await record()
    expect(await outcome).toMatchObject({ code: 'TENANT_EXISTS' })
    expect((await schemasLike(id)).rowCount).toBe(0)
    const { rowCount } = await client.query(
      `select from quickscale.placement where tenant_id = $1
       union all select from quickscale.migration where schema_name = $2`,
      [id, tenantSchemaName(id)],
    )
    expect(rowCount).toBe(0)
  })
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
