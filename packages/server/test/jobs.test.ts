import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Strategy } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { createJobs } from '../src/jobs/jobs.ts'
import { limits } from '../src/limits.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { begun, daily, earlier, everywhere, heard, note, probe } from './support/jobs/probe.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const patience = { timeout: 60_000, interval: 50 }

let installation: TestInstallation

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    tenants: [],
    modules: [probe],
    worker: { concurrency: 1 },
  })
  for (const plan of strategies) await create(`at-${plan}`, plan)
  await installation.app.ready()
})
afterAll(() => installation.remove())

const create = (slug: string, plan: Strategy) =>
  installation.tenancy.tenants.create({ slug, name: slug, plan })
const jobs = () => createJobs(installation.tenancy)
const dbOf = (slug: string) => installation.tenancy.tenant(slug).kysely
const ask = (slug: string, payload: object) =>
  send(installation.app, { method: 'POST', url: `/t/${slug}/probe`, payload })

/** What jobs have left behind, in the order in which they did. */
async function traces(slug: string, name = '%') {
  return await dbOf(slug)
    .selectFrom('companies')
    .select(['name', 'industry'])
    .where('name', 'like', name)
    .where('name', 'not like', 'asked for %')
    .orderBy('created_at')
    .execute()
}
const waiting = async (slug: string) => await dbOf(slug).selectFrom('job').selectAll().execute()

const isBegun = async (slug: string, name: string) =>
  (await waiting(slug)).some(({ payload, attempts }) => Object(payload).name === name && attempts === 1)

/** In graphile-worker's tables. */
const inQueue = () =>
  installation.tenancy.controlPlane.kysely<{ jobs: Record<string, unknown> }>('graphile_worker')

describe.each(strategies)('a job of a tenant with the %s strategy', (strategy) => {
  const slug = `at-${strategy}`

  it('is there with the change that it belongs to, or not at all', async () => {
    expect((await ask(slug, { name: 'never', abort: true })).status).toBe(409)
    const { status, body } = await ask(slug, { name: 'once' })
    expect([status, body]).toEqual([200, { id: expect.any(String) }])
    await vi.waitUntil(async () => (await traces(slug, 'once')).length === 1, patience)
    expect(await traces(slug, 'never')).toEqual([])
    await vi.waitUntil(async () => (await waiting(slug)).length === 0, patience)
    for (const other of strategies.filter((each) => each !== strategy))
      expect(await traces(`at-${other}`, 'once')).toHaveLength(
        strategies.indexOf(other) < strategies.indexOf(strategy) ? 1 : 0,
      )
  })

  it('is tried again, is given up, and waits for an admin', async () => {
    await ask(slug, { name: 'in the end', failures: 1 })
    await ask(slug, { name: 'given up', failures: 2 })
    await vi.waitUntil(async () => (await traces(slug, 'in the end')).length === 1, patience)
    expect(await traces(slug, 'in the end')).toEqual([{ name: 'in the end', industry: '2' }])
    const failed = async () =>
      (await send(installation.app, { url: `/t/${slug}/jobs/failed` })).body.items ?? []
    await vi.waitUntil(async () => (await failed()).length === 1, patience)
    const [{ id } = { id: '' }] = await failed()
    expect(await failed()).toMatchObject([
      // What the job threw is nobody's affair but the log's.
      {
        name: 'probe.note',
        attempts: 2,
        error: expect.stringContaining('Something went wrong on our side; job '),
      },
    ])
    for (const other of strategies.filter((each) => each !== strategy)) {
      const url = `/t/at-${other}/jobs/failed/${id}`
      expect((await send(installation.app, { method: 'POST', url: `${url}/retry` })).status).toBe(404)
      expect((await send(installation.app, { method: 'DELETE', url })).status).toBe(404)
    }
    await sql`update job set payload = '{"name":"given up","failures":0}'`.execute(dbOf(slug))
    const url = `/t/${slug}/jobs/failed/${id}`
    expect((await send(installation.app, { method: 'POST', url: `${url}/retry` })).status).toBe(200)
    await vi.waitUntil(async () => (await traces(slug, 'given up')).length === 1, patience)
    await ask(slug, { name: 'thrown away', failures: 2 })
    await vi.waitUntil(async () => (await failed()).length === 1, patience)
    const [{ id: last } = { id: '' }] = await failed()
    expect(
      (await send(installation.app, { method: 'DELETE', url: `/t/${slug}/jobs/failed/${last}` })).status,
    ).toBe(204)
    expect(await waiting(slug)).toEqual([])
  })

  it('by the clock comes once, however many of its moments were missed', async () => {
    const { id } = await installation.tenancy.tenants.get(slug)
    const count = async () => (await traces(slug, 'by the clock')).length
    // It was not there yet when the clock struck.
    await jobs().queue.wake([id])
    await vi.waitUntil(
      async () => (await dbOf(slug).selectFrom('job_schedule').selectAll().execute()).length === 1,
      patience,
    )
    expect(await count()).toBe(0)
    const long = new Date(earlier.getTime() - 3 * 86_400_000)
    await dbOf(slug).updateTable('job_schedule').set({ last_run: long }).execute()
    const platform = installation.tenancy.controlPlane.kysely<{
      job_schedule: { name: string; last_run: Date }
    }>('platform')
    await platform.updateTable('job_schedule').set({ last_run: long }).execute()
    for (const _again of [1, 2]) {
      await jobs().queue.add('clock', { payload: '{}', attemptsMax: 1, key: 'clock', runAt: null })
      await vi.waitUntil(
        async () =>
          (await platform.selectFrom('job_schedule').selectAll().execute())[0]?.last_run.getTime() ===
          earlier.getTime(),
        patience,
      )
      await vi.waitUntil(async () => (await count()) === 1, patience)
    }
    await vi.waitUntil(async () => (await waiting(slug)).length === 0, patience)
    expect(await count()).toBe(1)
    expect(daily.cron?.matches(earlier)).toBe(true)
  })

  it('waits while its tenant is suspended, and goes with a deleted one', async () => {
    const closing = `closing-${strategy}`
    const { id } = await create(closing, strategy)
    const { tenants } = installation.tenancy
    await dbOf(closing)
      .insertInto('job')
      .values({ name: 'probe.note', payload: '{"name":"later"}' })
      .execute()
    await tenants.suspend(closing)
    await jobs().queue.wake([id])
    const put = async () => {
      const { rows } =
        await sql`select from graphile_worker.jobs where key = ${id} and locked_at is null and attempts = 0
        and run_at > now() + interval '1 minute'`.execute(inQueue())
      return rows.length
    }
    await vi.waitUntil(async () => (await put()) === 1, patience)
    await tenants.resume(closing)
    expect(await traces(closing)).toEqual([])
    await jobs().queue.wake([id])
    await vi.waitUntil(async () => (await traces(closing, 'later')).length === 1, patience)
    await jobs().enqueue(
      closing,
      note,
      { name: 'never', failures: 0, ms: 0 },
      { runAt: new Date(Date.now() + 60_000) },
    )
    await tenants.delete(closing)
    await jobs().queue.wake([id])
    const left = async () =>
      (await sql`select from graphile_worker.jobs where key = ${id}`.execute(inQueue())).rows.length
    await vi.waitUntil(async () => (await left()) === 0, patience)
  })
})

it('a tenant with a thousand jobs keeps no neighbour waiting longer than its turn', async () => {
  const many = Array.from({ length: 1_000 }, (_, n) => ({
    name: 'probe.note',
    payload: JSON.stringify({ name: `many ${n}` }),
  }))
  await dbOf('at-schema').insertInto('job').values(many).execute()
  const { id } = await installation.tenancy.tenants.get('at-schema')
  await jobs().queue.wake([id])
  await vi.waitUntil(async () => (await traces('at-schema', 'many %')).length > 0, patience)
  const before = (await traces('at-schema', 'many %')).length
  await ask('at-database', { name: 'the neighbour’s' })
  await vi.waitUntil(async () => (await traces('at-database', 'the neighbour’s')).length === 1, {
    ...patience,
    interval: 5,
  })
  const after = (await traces('at-schema', 'many %')).length
  // One turn that had begun, and one while the test looked.
  expect(after - before).toBeLessThanOrEqual(3 * limits.jobsPerTurn)
  await dbOf('at-schema').deleteFrom('job').execute()
})

it('jobs follow a tenant that is moved, each to its end', async () => {
  const { moves, tenants } = installation.tenancy
  await create('moving', 'rls')
  let moving = true
  const journey = (async () => {
    for (const to of ['schema', 'database'] as const) {
      await moves.start('moving', { to, copyShare: 1 })
      await moves.finish('moving')
    }
  })().finally(() => {
    moving = false
  })
  journey.catch(() => undefined)
  const asked: string[] = []
  while (moving) {
    const name = `moved ${asked.length}`
    expect((await ask('moving', { name })).status).toBe(200)
    asked.push(name)
  }
  await journey
  expect((await tenants.placement('moving')).strategy).toBe('database')
  await vi.waitUntil(async () => (await waiting('moving')).length === 0, patience)
  const left = await traces('moving', 'moved %')
  expect(left.map(({ name }) => name).sort()).toEqual(asked.sort())
  expect(new Set(left.map(({ industry }) => industry))).toEqual(new Set(['1']))
})

describe('whoever enqueues', () => {
  it('has promised that somebody looks before the job is there, and is killed without loss', async () => {
    const { id } = await create('promised', 'rls')
    const promises = async () =>
      (
        await sql`select from graphile_worker.jobs where key = ${`${id} promised`} and run_at > now()`.execute(
          inQueue(),
        )
      ).rows.length
    await installation.tenancy.tenant('promised').transaction(async ({ kysely }) => {
      await jobs().within('promised').enqueue(kysely, note, { name: 'unannounced', failures: 0, ms: 0 })
      expect(await promises()).toBe(1)
      expect(await waiting('promised')).toEqual([])
    })
    expect(await waiting('promised')).toHaveLength(1)
    // Its time comes.
    await sql`select from graphile_worker.add_job('tenant', json_build_object('tenant', ${id}::text), queue_name => ${id}::text,
      job_key => ${`${id} promised`})`.execute(inQueue())
    await vi.waitUntil(async () => (await traces('promised')).length === 1, patience)
  })

  it('is found by the sweep though every promise is lost', async () => {
    await dbOf('promised')
      .insertInto('job')
      .values({ name: 'probe.note', payload: '{"name":"swept"}' })
      .execute()
    await jobs().queue.add('sweep', { payload: '{}', attemptsMax: 1, key: 'sweep', runAt: null })
    await vi.waitUntil(async () => (await traces('promised', 'swept')).length === 1, patience)
  })

  it('under a key enqueues one job, as long as it has not begun', async () => {
    const later = { key: 'one', runAt: new Date(Date.now() + 3_600_000) }
    const enqueue = () => jobs().enqueue('promised', note, { name: 'keyed', failures: 0, ms: 0 }, later)
    expect([await enqueue(), await enqueue()]).toEqual([expect.any(String), null])
    await expect(
      jobs().enqueue('promised', note, { name: 'x'.repeat(limits.jobPayloadBytesMax), failures: 0, ms: 0 }),
    ).rejects.toMatchObject({ code: 'JOB_TOO_LARGE' })
    await dbOf('promised').deleteFrom('job').execute()
  })

  it('can do so for no tenant', async () => {
    await jobs().enqueueInApplication(everywhere, { word: 'heard' })
    await vi.waitUntil(() => heard.length === 1, patience)
    expect(heard).toEqual(['heard'])
  })
})

describe('a worker', () => {
  it('that takes long over a job is not taken for a killed one', async () => {
    const other = await installation.open()
    await jobs().enqueue('at-rls', note, { name: 'long', failures: 0, ms: 3 * limits.jobRescueMs })
    await vi.waitUntil(async () => (await traces('at-rls', 'long')).length > 0, patience)
    await vi.waitUntil(async () => (await waiting('at-rls')).length === 0, patience)
    await other.close()
    expect(begun.filter((name) => name === 'long')).toHaveLength(1)
    expect(await traces('at-rls', 'long')).toEqual([{ name: 'long', industry: '1' }])
  })

  it('that is killed in the middle of a job leaves it to the others', async () => {
    await installation.app.close()
    const child = spawn(
      process.execPath,
      ['--conditions=quickscale-source', fileURLToPath(new URL('./support/jobs/worker.ts', import.meta.url))],
      {
        env: { ...process.env, TEST_INSTALLATION: JSON.stringify(installation.config) },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    await once(child.stdout, 'data')
    await jobs().enqueue('at-schema', note, { name: 'survivor', failures: 0, ms: 4_000 })
    await vi.waitUntil(async () => await isBegun('at-schema', 'survivor'), patience)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await traces('at-schema', 'survivor')).toEqual([])
    const other = await installation.open()
    await vi.waitUntil(async () => (await traces('at-schema', 'survivor')).length === 1, patience)
    expect(await traces('at-schema', 'survivor')).toEqual([{ name: 'survivor', industry: '2' }])
    await jobs().enqueue('at-rls', note, { name: 'in peace', failures: 0, ms: 1_000 })
    await vi.waitUntil(async () => await isBegun('at-rls', 'in peace'), patience)
    await other.close()
    expect(await traces('at-rls', 'in peace')).toHaveLength(1)
    expect(await waiting('at-rls')).toEqual([])
  })
})
