// What a move does beside those who work.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tenantSchemaName } from '../src/identifiers.ts'
import { TestInstallation } from './support/installation.ts'

let installation: TestInstallation
beforeAll(async () => {
  // The schemas of `one` and `two`: from then on this process makes them from a blueprint.
  const plans = { only: { strategy: 'schema' }, rows: { strategy: 'rls' } } as const
  installation = await TestInstallation.open('schema', { plans })
})
afterAll(() => installation.close())

test('a tenant that moves to a schema works while that is made, whatever it has open', async () => {
  const { id } = await installation.tenancy.tenants.create({ slug: 'moved', name: 'Moved', plan: 'rows' })
  const done = Promise.withResolvers<void>()
  const open = installation.tenancy.tenant('moved').transaction(async (tenant) => {
    await tenant.query('select 1')
    await done.promise
  })
  const move = installation.tenancy.moves.start('moved', { to: 'schema' })
  const made = 'select from quickscale.migration where schema_name = $1'
  const pool = `${installation.name}_pool`
  await expect
    .poll(async () => (await installation.inDatabase(pool, made, [tenantSchemaName(id)])).rowCount, {
      timeout: 20_000,
    })
    .toBeGreaterThan(0)
  await installation.tenancy.tenant('moved').query("insert into note (id, body) values (1, 'meanwhile')")
  done.resolve()
  await open
  expect(await move).toMatchObject({ state: 'active' })
  const { rows } = await installation.tenancy.tenant('moved').query('select body from note')
  expect(rows).toEqual([{ body: 'meanwhile' }])
})
