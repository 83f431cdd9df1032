import { readdir, readFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { QuickScaleError } from '@quickscale/tenancy'
import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { limits } from '../src/limits.ts'
import type { BillingTables } from '../src/modules/billing/tables.ts'
import { monthOf } from '../src/modules/billing/usage/record.ts'
import { rollUp } from '../src/modules/billing/usage/rollup.ts'
import { countUsage } from '../src/modules/billing/usage/tree.ts'
import { type Answer, sendingTo } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'

const calls = { soft: 6, hard: 10 }
const usd = [{ amount: 100, currency: 'usd', interval: 'month' }]
const plans = {
  rls: { quotas: { calls } },
  schema: { prices: usd, quotas: { calls } },
  database: { prices: usd, quotas: { calls } },
}
/** Below the first one: two, and one below the first of these. */
const places = ['top', 'left', 'right', 'leaf'] as const

let installation: TestInstallation
let ann: TestPerson
let eve: TestPerson
let vic: TestPerson

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    tenants: [],
    billing: { plans, defaultPlan: 'rls', meters: { calls: {}, sms: {} } },
  })
  const { tenancy } = installation
  ann = await makePerson(tenancy, 'Ann')
  eve = await makePerson(tenancy, 'Eve')
  vic = await makePerson(tenancy, 'Vic')
})
afterAll(() => installation.remove())

const ask = sendingTo(() => installation.app)
let keys = 0
const record = (slug: string, meter = 'calls', quantity = 1, who = ann) => {
  keys += 1
  return ask(who, 'POST', `/t/${slug}/billing/usage`, { meter, quantity, key: `key ${keys}` })
}
const db = () => installation.tenancy.controlPlane.kysely<BillingTables>('billing')
const outcome = ({ status, body }: Answer) => [status, body.code]

async function make(slug: string, plan: string, parent?: string): Promise<string> {
  const { tenancy } = installation
  const above = parent === undefined ? {} : { parent }
  const { id } = await tenancy.tenants.create({ slug, name: slug.toUpperCase(), plan, ...above })
  if (parent === undefined) await join(tenancy, slug, ann, 'owner')
  return id
}

/** As the worker does when their time has come. */
async function roll(...slugs: string[]): Promise<void> {
  const { tenancy, app } = installation
  const found = await Promise.all(slugs.map((slug) => tenancy.tenants.get(slug)))
  const ids = found.map(({ id }) => id)
  const due = db()
    .updateTable('usage_rollup')
    .set({ due_at: new Date(0) })
  await due.where('tenant_id', 'in', ids).execute()
  await rollUp({ tenancy, log: app.log, closing: new AbortController().signal, db: db() })
}

/** What the tenant's own events come to. */
async function readEvents(slug: string, meter: string): Promise<number> {
  const events = installation.tenancy.tenant(slug).kysely.selectFrom('usage_event').select('quantity')
  const rows = await events.where('meter', '=', meter).execute()
  return rows.reduce((sum, { quantity }) => sum + Number(quantity), 0)
}

async function readMeter(who: TestPerson, slug: string, meter = 'calls') {
  const { status, text, body } = await ask(who, 'GET', `/t/${slug}/billing/usage`)
  expect(status, text).toBe(200)
  return body.items?.find(({ name }) => name === meter)
}
const readTree = (slug: string, query = '', who = ann) =>
  ask(who, 'GET', `/t/${slug}/billing/usage/organizations${query}`)

describe.each(['rls', 'schema', 'database'] as const)('a tree of organizations under %s', (strategy) => {
  const [top, left, right, leaf] = places.map((place) => `${place}-${strategy}`) as [
    string,
    string,
    string,
    string,
  ]

  it('never passes the limit of the one above, however many record in it at once', async () => {
    await make(top, strategy)
    await make(left, strategy, top)
    await make(right, 'rls', top)
    await make(leaf, 'rls', left)
    const { tenancy } = installation
    await join(tenancy, top, vic, 'viewer')
    await join(tenancy, left, eve, 'owner')
    const answers = await Promise.all(
      [top, left, right, leaf].flatMap((slug) => Array.from({ length: 6 }, () => record(slug))),
    )
    const refused = answers.filter(({ status }) => status !== 200)
    expect(refused.map(outcome)).toEqual(Array(14).fill([429, 'QUOTA_EXCEEDED']))
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0)
    const events = await Promise.all([top, left, right, leaf].map((slug) => readEvents(slug, 'calls')))
    expect(events.reduce((sum, each) => sum + each)).toBe(10)
    const [ofTop = 0, ofLeft = 0, ofRight = 0, ofLeaf = 0] = events
    expect(await readMeter(ann, top)).toEqual({
      name: 'calls',
      kind: 'meter',
      used: ofTop,
      tree: 10,
      ...calls,
      warning: true,
    })
    expect((await readTree(top)).body).toMatchObject({
      own: { calls: ofTop, sms: 0 },
      total: { calls: 10, sms: 0 },
      items: [
        { slug: left, name: left.toUpperCase(), state: 'active', used: { calls: ofLeft + ofLeaf, sms: 0 } },
        { slug: right, used: { calls: ofRight, sms: 0 } },
      ],
      next: null,
    })
  })

  it('says nothing of those above and beside to those below, and nothing of these to who may not act there', async () => {
    const refused = await record(left, 'calls', 1, eve)
    expect([refused.status, refused.body.detail]).toEqual([
      429,
      'An organization above this one has no more of calls this month',
    ])
    for (const url of ['', '/organizations', '/hours?meter=calls&day=2030-01-01'])
      for (const slug of [top, right])
        expect(outcome(await ask(eve, 'GET', `/t/${slug}/billing/usage${url}`))).toEqual([
          404,
          'TENANT_NOT_FOUND',
        ])
    const [ofLeft, ofLeaf] = [await readEvents(left, 'calls'), await readEvents(leaf, 'calls')]
    expect(await readMeter(eve, left)).toMatchObject({ used: ofLeft, tree: ofLeft + ofLeaf })
    expect(await readMeter(eve, leaf)).toMatchObject({ used: ofLeaf, tree: null })
    expect((await readTree(left, '', eve)).body).toMatchObject({ items: [{ slug: leaf }] })
    expect((await readTree(leaf, '', eve)).body).toMatchObject({ total: { calls: ofLeaf }, items: [] })
    // A viewer is nobody below.
    expect(outcome(await readTree(top, '', vic))).toEqual([403, 'ROLE_INSUFFICIENT'])
    expect(await readMeter(vic, top)).toMatchObject({ tree: null })
    expect(outcome(await ask(vic, 'GET', `/t/${left}/billing/usage`))).toEqual([404, 'TENANT_NOT_FOUND'])
  })

  it('counts what it has again, when more was counted than was committed', async () => {
    const { id } = await installation.tenancy.tenants.get(leaf)
    await record(leaf, 'sms', 5)
    await record(right, 'sms', 7)
    // As somebody does whose transaction is rolled back afterwards.
    const lost = { meter: 'sms', period: monthOf(new Date()), total: 50 }
    await countUsage(db(), id, lost)
    expect((await readTree(top)).body.total).toMatchObject({ sms: 57 })
    await roll(leaf)
    expect((await readTree(top)).body.total).toMatchObject({ sms: 12 })
    await countUsage(db(), id, lost)
    await record(leaf, 'sms', 1)
    expect((await readTree(top)).body.total).toMatchObject({ sms: 13 })
  })
})

describe('owners of an organization', () => {
  it('are warned of what it and those below it have used together, and nobody below is', async () => {
    await installation.restart()
    const names = await readdir(installation.outbox)
    const mails = await Promise.all(
      names.map((name) => readFile(joinPath(installation.outbox, name), 'utf8')),
    )
    const warnings = mails.filter((mail) => mail.includes('Subject: TOP-'))
    expect(warnings.map((mail) => mail.split('\n').slice(0, 2)).sort()).toEqual(
      ['top-database', 'top-rls', 'top-schema'].map((slug) => [
        `To: ${ann.email}`,
        `Subject: ${slug.toUpperCase()}: calls is nearly used up`,
      ]),
    )
    expect(warnings[0]).toContain('by the organizations below too')
  })
})

describe('an organization', () => {
  it('that nothing is below and that is below nothing is counted by the roll-up, and takes that into its tree', async () => {
    await make('alone', 'rls')
    await record('alone', 'calls', 4)
    expect(await readRow('alone')).toBeUndefined()
    expect(await readMeter(ann, 'alone')).toMatchObject({ used: 4, tree: null })
    await roll('alone')
    await make('late', 'rls', 'alone')
    expect((await record('late', 'calls', 6)).status).toBe(200)
    expect(outcome(await record('late'))).toEqual([429, 'QUOTA_EXCEEDED'])
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + limits.usageTreeMs })
    try {
      // Whether there are others below is asked beside, and known soon after.
      await vi.waitFor(async () => expect((await record('alone')).status).toBe(429), { interval: 20 })
    } finally {
      vi.useRealTimers()
    }
    expect((await record('alone')).body.detail).toBe(
      'The plan has 10 of calls a month, for all organizations below too',
    )
  })

  it('takes along what it has used when it gets another parent, and leaves it there when it is deleted', async () => {
    const { tenancy } = installation
    for (const slug of ['north', 'south']) await make(slug, 'rls')
    await make('branch', 'rls', 'north')
    await make('twig', 'rls', 'branch')
    await record('branch', 'sms', 4)
    await record('twig', 'sms', 3)
    await record('south', 'sms', 1)
    const totals = async () => [await readBelow('north'), await readBelow('south')]
    expect(await totals()).toEqual([7, 0])
    await tenancy.tenants.update('branch', { parent: 'south' })
    expect(await totals()).toEqual([0, 7])
    await record('twig', 'sms', 2)
    expect(await totals()).toEqual([0, 9])
    await tenancy.tenants.suspend('branch')
    expect((await readTree('south')).body.items).toMatchObject([{ state: 'suspended', used: { sms: 9 } }])
    await tenancy.tenants.resume('branch')
    for (const slug of ['twig', 'branch']) await tenancy.tenants.delete(slug)
    expect((await readTree('south')).body).toMatchObject({ own: { sms: 1 }, total: { sms: 10 }, items: [] })
    const last = await readTree('south', '?month=2030-01')
    expect(last.body).toMatchObject({ month: '2030-01', total: { sms: 0 } })
  })

  it('that records while it gets another parent has that counted below the new one', async () => {
    const { tenancy } = installation
    for (const slug of ['before', 'after']) await make(slug, 'rls')
    const tenant_id = await make('between', 'rls', 'before')
    await record('between', 'sms', 2)
    const done = await db()
      .transaction()
      .execute(async (holding) => {
        const row = holding.selectFrom('usage_month').selectAll().where('tenant_id', '=', tenant_id)
        await row.forUpdate().execute()
        const recording = record('between', 'sms', 5)
        await untilWaiting(1)
        const moving = tenancy.tenants.update('between', { parent: 'after' })
        await untilWaiting(2)
        return [recording, moving]
      })
    await Promise.all(done)
    expect([await readBelow('before'), await readBelow('after')]).toEqual([0, 7])
  })

  it('is found with the others below on pages', async () => {
    for (const slug of ['page-b', 'page-a', 'page-c']) await make(slug, 'rls', 'north')
    const first = await readTree('north', '?limit=2')
    expect(first.body.items?.map(({ slug }) => slug)).toEqual(['page-a', 'page-b'])
    const second = await readTree('north', `?limit=2&after=${first.body.next}`)
    expect([second.body.items?.map(({ slug }) => slug), second.body.next]).toEqual([['page-c'], null])
    for (const query of ['?month=2030-13', '?limit=0', '?limit=101', '?period=2030-01'])
      expect((await readTree('north', query)).status).toBe(400)
  })
})

describe('sums of a tree', () => {
  const slugs = ['s0', 's1', 's2', 's3', 's4']
  const index = fc.nat({ max: slugs.length - 1 })
  const step = fc.record({
    at: index,
    quantity: fc.integer({ min: 1, max: 9 }),
    moves: fc.option(fc.record({ who: index, under: fc.option(index) })),
  })

  it('are those of the events, whoever records and moves at the same moment', async () => {
    const { tenancy } = installation
    for (const slug of slugs) await make(slug, 'rls')
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 20 }), async (steps) => {
      const recording = steps.map(({ at, quantity }) => record(slugs[at] ?? '', 'sms', quantity))
      for (const { moves } of steps) {
        if (moves === null) continue
        const parent = moves.under === null ? null : (slugs[moves.under] ?? null)
        // Below itself it is refused.
        await tenancy.tenants.update(slugs[moves.who] ?? '', { parent }).catch(ignoreRefusal)
      }
      for (const { status, text } of await Promise.all(recording)) expect(status, text).toBe(200)
      await roll(...slugs)
      const tenants = await Promise.all(slugs.map((slug) => tenancy.tenants.get(slug)))
      const events = await Promise.all(slugs.map((slug) => readEvents(slug, 'sms')))
      const within = (id: string | null, above: string): boolean =>
        id !== null &&
        (id === above || within(tenants.find((each) => each.id === id)?.parentId ?? null, above))
      for (const [at, { id, slug }] of tenants.entries()) {
        const row = await readRow(slug, 'sms')
        const below = tenants.map((each, other) => (within(each.parentId, id) ? (events[other] ?? 0) : 0))
        expect([Number(row?.own ?? 0), Number(row?.below ?? 0)]).toEqual([
          events[at],
          below.reduce((sum, each) => sum + each),
        ])
      }
    })
    await fc.assert(property, { numRuns: 6 })
  })
})

/** Until so many wait for a lock beside the catalog. */
async function untilWaiting(count: number): Promise<void> {
  const waiting = async () => {
    const { rows } = await sql<{ waiting: number }>`
      select count(*)::integer as waiting from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock'`.execute(db())
    return rows[0]?.waiting
  }
  await vi.waitFor(async () => expect(await waiting()).toBe(count), { timeout: 10_000, interval: 20 })
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof QuickScaleError && error.code === 'TENANT_INVALID')) throw error
}

const readRow = async (slug: string, meter = 'calls') => {
  const { id } = await installation.tenancy.tenants.get(slug)
  const rows = db().selectFrom('usage_month').selectAll().where('tenant_id', '=', id)
  return await rows.where('meter', '=', meter).executeTakeFirst()
}

const readBelow = async (slug: string) => Number((await readRow(slug, 'sms'))?.below ?? 0)
