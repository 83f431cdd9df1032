// What a move does beside those who work.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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

test('while the way back of tenants is open, under every strategy, the layout has no fault and is migrated', async () => {
  const { tenancy } = installation
  const unusable = tenancy.moves.start('one', { to: 'database', rollbackWindowMs: Number.NaN })
  await expect(unusable).rejects.toMatchObject({ code: 'MOVE_REFUSED' })
  await tenancy.moves.start('one', { to: 'database' })
  await tenancy.moves.start('two', { to: 'rls' })
  expect((await tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  // What anybody else would send of their rows is one.
  const pool = `${installation.name}_pool`
  await installation.inDatabase(pool, 'create publication quickscale_leak for table app.note')
  const { findings } = await tenancy.doctor()
  expect(findings.filter(({ level }) => level === 'error')).toMatchObject([
    { check: 'layout-faulty', subject: expect.stringContaining('quickscale_leak') },
  ])
  await installation.inDatabase(pool, 'drop publication quickscale_leak')

  const later = await mkdtemp(join(tmpdir(), 'quickscale-later-'))
  try {
    await writeFile(join(later, '0002_title.sql'), 'alter table note add column title text;')
    const migrations = [fileURLToPath(new URL('./support/migrations', import.meta.url)), later]
    const next = await installation.another('schema', { migrations })
    await next.migrate()
    for (const { slug: key } of (await tenancy.tenants.list()).tenants) {
      expect((await next.tenant(key).query('select title from note')).fields).toHaveLength(1)
    }
    expect((await next.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  } finally {
    await rm(later, { recursive: true })
  }
})
