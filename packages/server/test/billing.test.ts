import { readdir, readFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Strategy } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { buildApp, createFileMailer, defineApplication } from '../src/index.ts'
import { addInterval, changesAt, DAY_MS, nextChange } from '../src/modules/billing/schedule.ts'
import type { BillingTables, Changes, Subscription } from '../src/modules/billing/tables.ts'
import { HOUR_MS, hourOf, rollUp } from '../src/modules/billing/usage/rollup.ts'
import { type Answer, send, sendingTo } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'

const usd = (amount: number) => [{ amount, currency: 'usd', interval: 'month' }]
const calls = { soft: 5, hard: 10 }
const plans = {
  rls: { quotas: { members: { soft: 1, hard: 2 }, domains: { hard: 1 }, calls } },
  only: { prices: usd(2900), trialDays: 14 },
  schema: { title: 'Pro', prices: usd(7900), trialDays: 30, quotas: { members: { hard: 50 }, calls } },
  database: { prices: usd(50_000), quotas: { calls } },
  nowhere: { prices: usd(90_000), trialDays: 7 },
}

let installation: TestInstallation
let ann: TestPerson
let ben: TestPerson

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    tenants: [],
    billing: { plans, defaultPlan: 'rls', meters: { calls: {}, sms: {} } },
  })
  const { tenancy } = installation
  ;[ann, ben] = [await makePerson(tenancy, 'Ann'), await makePerson(tenancy, 'Ben')]
})
afterAll(() => installation.remove())

const ask = sendingTo(() => installation.app)

async function makeOrganization(slug: string, plan: string): Promise<string> {
  const { id } = await installation.tenancy.tenants.create({ slug, name: slug, plan })
  await join(installation.tenancy, slug, ann, 'owner')
  await installation.tenancy.members.deliver()
  return id
}

/** Asks until the organization is where its subscription wants it. */
async function untilSettled(slug: string): Promise<Answer> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const answer = await ask(ann, 'GET', `/t/${slug}/billing/subscription`)
    expect(answer.status, answer.text).toBe(200)
    if (answer.body.change === null) return answer
    await sleep(50)
  }
  return expect.unreachable('the tenant does not follow its subscription')
}

const strategyOf = async (slug: string) => (await installation.tenancy.tenants.placement(slug)).strategy

/** Time that has passed: what was to come is past. */
async function rewrite(tenantId: string, changes: Changes): Promise<void> {
  const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
  await db
    .updateTable('subscription')
    .set({ ...changes, due_at: new Date() })
    .where('tenant_id', '=', tenantId)
    .execute()
  await installation.restart()
}

describe.each(['schema', 'database'] as const)('a plan with the strategy %s', (plan) => {
  const slug = `up-${plan}`

  it('is chosen by an owner, who works on while the organization moves there, through a restart', async () => {
    await makeOrganization(slug, 'rls')
    await join(installation.tenancy, slug, ben, 'admin')
    expect((await ask(ben, 'POST', `/t/${slug}/billing/plan`, { plan })).status).toBe(403)
    const chosen = await ask(ann, 'POST', `/t/${slug}/billing/plan`, { plan })
    expect([chosen.status, chosen.body.change]).toMatchObject([
      202,
      { from: 'rls', to: plan, state: 'pending' },
    ])
    let written = 0
    const write = async () => {
      const name = `Company ${written}`
      expect((await ask(ann, 'POST', `/t/${slug}/companies`, { name })).status).toBe(201)
      written += 1
    }
    await write()
    await installation.restart()
    for (
      let settled = false;
      !settled;
      settled = (await installation.tenancy.tenants.get(slug)).plan === plan
    ) {
      await write()
      // Nobody writes without a pause; and the move has the same machine.
      await sleep(20)
    }
    expect((await untilSettled(slug)).body).toMatchObject({ status: 'active', plan, currency: 'usd' })
    expect(await strategyOf(slug)).toBe(plan satisfies Strategy)
    const { body } = await ask(ann, 'GET', `/t/${slug}/companies?limit=100`)
    expect(body.items).toHaveLength(Math.min(written, 100))
  })
})

describe('a plan that costs nothing', () => {
  const slug = 'up-schema'

  it('begins when what has been paid for is over, though the way back of a move is still open', async () => {
    expect((await ask(ann, 'POST', `/t/${slug}/billing/plan`, { plan: 'rls' })).body).toMatchObject({
      plan: 'schema',
      cancel_at: expect.any(String),
    })
    await rewrite((await installation.tenancy.tenants.get(slug)).id, { cancel_at: new Date() })
    await installation.app.ready()
    while ((await untilSettled(slug)).body.status !== 'canceled') await sleep(50)
    expect((await untilSettled(slug)).body).toMatchObject({ plan: 'rls', cancel_at: null })
    expect(await strategyOf(slug)).toBe('rls')
  })
})

describe('moves to other plans', () => {
  it('hold up no other subscription, and are taken back by a later choice', async () => {
    const { tenancy } = installation
    const slugs = ['way-1', 'way-2', 'way-3', 'way-4', 'way-5']
    for (const slug of [...slugs, 'timed']) await makeOrganization(slug, 'rls')
    const timed = await ask(ann, 'POST', '/t/timed/billing/plan', { plan: 'only' })
    expect(timed.body).toMatchObject({ plan: 'only', change: null })
    let release: () => void = () => undefined
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    // A move copies once whatever is being written has ended.
    const held = tenancy.tenant('way-1').transaction(async ({ query }) => {
      await query("insert into companies (name) values ('Written slowly')")
      await released
    })
    try {
      const choose = (slug: string, plan: string) => ask(ann, 'POST', `/t/${slug}/billing/plan`, { plan })
      for (const slug of slugs.slice(0, -1)) expect((await choose(slug, 'schema')).status).toBe(202)
      const movesOf = async (...of: string[]) =>
        (await Promise.all(of.map((tenant) => tenancy.moves.list({ tenant })))).flat()
      const four = async () => expect(await movesOf(...slugs)).toHaveLength(4)
      await vi.waitFor(four, 20_000)
      const db = tenancy.controlPlane.kysely<BillingTables>('billing')
      const { id } = await tenancy.tenants.get('timed')
      const over = { cancel_at: new Date(0), due_at: new Date(0) }
      await db.updateTable('subscription').set(over).where('tenant_id', '=', id).execute()
      expect((await choose('way-5', 'schema')).status).toBe(202)
      await vi.waitFor(async () => expect((await untilSettled('timed')).body.status).toBe('canceled'), 20_000)
      for (const slug of slugs.slice(1)) {
        const later = await choose(slug, 'only')
        expect([later.status, later.body.change], later.text).toEqual([200, null])
        expect([await strategyOf(slug), (await tenancy.tenants.get(slug)).plan]).toEqual(['rls', 'only'])
        expect((await movesOf(slug)).filter(({ state }) => state !== 'cancelled')).toEqual([])
      }
      expect(await movesOf('way-1')).toMatchObject([{ plan: 'schema', state: 'copying' }])
    } finally {
      release()
      await held
    }
    await untilSettled('way-1')
    expect(await strategyOf('way-1')).toBe('schema')
  })
})

describe('a move that fails before it is recorded who makes it', () => {
  it('is not waited for: its reason is told, and it is tried again', async () => {
    const id = await makeOrganization('astray', 'rls')
    const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
    await sql`
      create function billing.delay() returns trigger language plpgsql as $$
      begin perform pg_sleep(0.5); return new; end $$;
      create trigger delay before update on billing.subscription for each row
        when (old.moving_by is null and new.moving_by is not null) execute function billing.delay()`.execute(
      db,
    )
    try {
      expect((await ask(ann, 'POST', '/t/astray/billing/plan', { plan: 'only' })).status).toBe(200)
      await db
        .updateTable('subscription')
        .set({ plan: 'nowhere', due_at: new Date(0) })
        .where('tenant_id', '=', id)
        .execute()
      await installation.restart()
      await installation.app.ready()
      const row = db.selectFrom('subscription').selectAll().where('tenant_id', '=', id)
      const told = async () =>
        expect(await row.executeTakeFirstOrThrow()).toMatchObject({
          moving_by: null,
          moving_until: null,
          attempts: 1,
          failure: expect.stringContaining('no label nowhere'),
        })
      await vi.waitFor(told, 10_000)
    } finally {
      await sql`drop function billing.delay cascade`.execute(db)
    }
  })
})

describe('a plan that an organization does not fit into', () => {
  it('is refused with what does not fit, and nothing is changed', async () => {
    await makeOrganization('large', 'schema')
    for (const name of ['Cid', 'Dan'])
      await join(installation.tenancy, 'large', await makePerson(installation.tenancy, name), 'member')
    const refused = await ask(ann, 'POST', '/t/large/billing/plan', { plan: 'rls' })
    expect([refused.status, refused.body.code]).toEqual([409, 'PLAN_DOES_NOT_FIT'])
    expect(refused.body.errors).toEqual([
      { in: 'body', path: '/plan', message: 'members: there are 3, 2 are allowed' },
    ])
    const nowhere = await ask(ann, 'POST', '/t/large/billing/plan', { plan: 'nowhere' })
    expect([nowhere.status, nowhere.body.detail]).toEqual([409, expect.stringContaining('no label nowhere')])
    expect((await ask(ann, 'GET', '/t/large/billing/subscription')).body).toMatchObject({
      status: 'none',
      plan: 'schema',
      change: null,
    })
  })

  it('is refused when it is not sold, or not at that price', async () => {
    const change = (payload: object) => ask(ann, 'POST', '/t/large/billing/plan', payload)
    expect((await change({ plan: 'free' })).body.code).toBe('PLAN_NOT_OFFERED')
    expect((await change({ plan: 'constructor' })).body.code).toBe('PLAN_NOT_OFFERED')
    expect((await change({ plan: 'database', currency: 'eur' })).body.code).toBe('PRICE_NOT_OFFERED')
    expect((await change({ plan: 'database', interval: 'year' })).body.code).toBe('PRICE_NOT_OFFERED')
    expect((await change({ plan: 'database', amount: 1 })).body.code).toBe('VALIDATION_FAILED')
  })
})

describe('a trial', () => {
  it('is had once, gives the plan at once, and ends with the default plan', async () => {
    const id = await makeOrganization('trying', 'rls')
    const begun = await ask(ann, 'POST', '/t/trying/billing/trial', { plan: 'only' })
    expect([begun.status, begun.body.status]).toEqual([200, 'trialing'])
    expect((await untilSettled('trying')).body.plan).toBe('only')
    await rewrite(id, { trial_until: new Date() })
    await installation.app.ready()
    while ((await untilSettled('trying')).body.status !== 'canceled') await sleep(50)
    expect((await untilSettled('trying')).body.plan).toBe('rls')
    expect((await ask(ann, 'POST', '/t/trying/billing/trial', { plan: 'only' })).body.code).toBe(
      'TRIAL_REFUSED',
    )
    expect((await ask(ann, 'POST', '/t/trying/billing/cancellation')).body.code).toBe('SUBSCRIPTION_NONE')
    // Nor after the plan was had for money; and choosing it again is a choice.
    const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
    const row = db.selectFrom('subscription').selectAll().where('tenant_id', '=', id)
    const since: number[] = []
    for (let time = 0; time < 2; time += 1) {
      expect((await ask(ann, 'POST', '/t/trying/billing/plan', { plan: 'only' })).body.plan).toBe('only')
      const { plan_since, trial_until } = await row.executeTakeFirstOrThrow()
      since.push(plan_since.getTime())
      expect(trial_until).not.toBeNull()
    }
    expect(since[1]).toBeGreaterThan(since[0] ?? 0)
  })

  it('that is over is left alone for a while by a process whose clock is late', async () => {
    const id = await makeOrganization('late', 'rls')
    expect((await ask(ann, 'POST', '/t/late/billing/trial', { plan: 'only' })).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 60_000 })
    try {
      await rewrite(id, { trial_until: new Date(Date.now() + 30_000) })
      await installation.app.ready()
      const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
      const row = db
        .selectFrom('subscription')
        .select(sql<boolean>`due_at > now()`.as('rests'))
        .where('tenant_id', '=', id)
      for (let attempt = 0; !(await row.executeTakeFirstOrThrow()).rests; attempt += 1) {
        expect(attempt).toBeLessThan(200)
        await sleep(10)
      }
    } finally {
      vi.useRealTimers()
    }
    await installation.restart()
  })

  it('is refused of a plan that is not for trial', async () => {
    expect((await ask(ann, 'POST', '/t/trying/billing/trial', { plan: 'database' })).body.code).toBe(
      'TRIAL_REFUSED',
    )
  })
})

describe('what is sold', () => {
  it('is told to everybody', async () => {
    const { body } = await send(installation.app, { url: '/billing/plans' })
    expect(body.items?.map(({ name }) => name)).toEqual(Object.keys(plans))
    expect(body.items?.[2]).toEqual({
      name: 'schema',
      title: 'Pro',
      trial_days: 30,
      prices: usd(7900),
      quotas: { members: { soft: null, hard: 50 }, calls },
    })
  })

  it.each([
    [{ plans: { nosuch: {} } }, 'plans.nosuch is no plan of the tenancy'],
    [{ plans: { rls: { quotas: { moons: { hard: 1 } } } } }, 'quotas.moons is none of'],
    [{ plans: { schema: { prices: usd(1) } } }, 'defaultPlan rls is not among the plans'],
    [{ plans: { rls: { prices: usd(1) } } }, 'must cost nothing'],
    [{ plans: { rls: {}, schema: {} } }, 'plans.schema needs a price'],
    [{ plans: { rls: {} }, meters: { members: {} } }, 'meters.members is counted already'],
  ])('must be what the tenancy has: %j', async (options, problem) => {
    const { tenancy, outbox } = installation
    const application = defineApplication({ modules: { billing: { defaultPlan: 'rls', ...options } } })
    const mailer = createFileMailer(outbox)
    const opened = buildApp({
      tenancy,
      application,
      secret: new Uint8Array(32),
      baseUrl: 'http://localhost',
      mailer,
    })
    await expect(opened).rejects.toThrow(problem)
  })

  it.each([
    [{ plan: {} }, 'did you mean plans?'],
    [{ plans: { rls: { price: [] } } }, 'is not a known key'],
    [{ plans: { rls: { prices: [{ amount: 0.5, currency: 'usd', interval: 'month' }] } } }, 'amount'],
    [{ plans: { rls: { prices: [...usd(1), ...usd(2)] } } }, 'twice'],
    [{ plans: { rls: { quotas: { members: { soft: 2, hard: 1 } } } } }, 'beyond'],
  ])('is refused when it cannot be meant: %j', (billing, problem) => {
    expect(() => defineApplication({ modules: { billing } })).toThrow(problem)
  })
})

describe.each([
  ['rls', 'uses'],
  ['schema', 'large'],
  ['database', 'up-database'],
] as const)('usage of a tenant with the strategy %s', (strategy, slug) => {
  const record = (payload: object) => ask(ann, 'POST', `/t/${slug}/billing/usage`, payload)
  const db = () => installation.tenancy.controlPlane.kysely<BillingTables>('billing')
  /** As its worker does. */
  const roll = () => {
    const { tenancy, app } = installation
    return rollUp({ tenancy, log: app.log, closing: new AbortController().signal, db: db() })
  }

  it('is counted once for each key, up to the limit and not beyond, however many ask at once', async () => {
    if (strategy === 'rls') await makeOrganization(slug, 'rls')
    expect(await strategyOf(slug)).toBe(strategy)
    const first = { meter: 'calls', quantity: 3, key: 'a' }
    for (let time = 0; time < 2; time += 1)
      expect((await record(first)).body).toEqual({ meter: 'calls', used: 3, ...calls, warning: false })
    expect((await record({ ...first, quantity: 4 })).body.code).toBe('USAGE_KEY_REUSED')
    expect((await record({ ...first, meter: 'moons' })).body.code).toBe('METER_UNKNOWN')
    const many = await Promise.all(
      Array.from({ length: 12 }, (_, index) => record({ meter: 'calls', quantity: 1, key: `b${index}` })),
    )
    const refused = many.filter(({ status }) => status !== 200)
    expect(refused.map(({ status, body }) => [status, body.code])).toEqual(
      Array(5).fill([429, 'QUOTA_EXCEEDED']),
    )
    expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThan(0)
    expect((await record({ meter: 'sms', quantity: 1_000, key: 'a' })).body.hard).toBeNull()
    const { body } = await ask(ann, 'GET', `/t/${slug}/billing/usage`)
    expect(body.items).toContainEqual({
      name: 'calls',
      kind: 'meter',
      used: 10,
      tree: null,
      ...calls,
      warning: true,
    })
  })

  it('is rolled up by the hour, with the same sums whoever does it and however often, and what came late', async () => {
    const { id } = await installation.tenancy.tenants.get(slug)
    const hour = new Date(hourOf(new Date()).getTime() - 2 * HOUR_MS)
    const tenant = installation.tenancy.tenant(slug).kysely
    const hours = async () =>
      (
        await ask(
          ann,
          'GET',
          `/t/${slug}/billing/usage/hours?meter=calls&day=${hour.toISOString().slice(0, 10)}`,
        )
      ).body.items
    const makeDue = () =>
      db()
        .updateTable('usage_rollup')
        .set({ due_at: new Date(0) })
        .where('tenant_id', '=', id)
        .execute()
    // The hour that is not over is left alone.
    await makeDue()
    await roll()
    expect(await hours()).toEqual([])
    await tenant.updateTable('usage_event').set({ recorded_at: hour }).where('meter', '=', 'calls').execute()
    await makeDue()
    await Promise.all([roll(), roll()])
    await makeDue()
    await roll()
    expect(await hours()).toEqual([{ hour: hour.toISOString(), quantity: 10 }])
    await tenant
      .insertInto('usage_event')
      .values({ meter: 'calls', key: 'late', quantity: '7', recorded_at: new Date(hour.getTime() + 1) })
      .execute()
    await installation.tenancy.tenants.suspend(slug)
    await makeDue()
    await roll()
    await installation.tenancy.tenants.resume(slug)
    expect(await hours()).toEqual([{ hour: hour.toISOString(), quantity: 10 }])
    await makeDue()
    await roll()
    expect(await hours()).toEqual([{ hour: hour.toISOString(), quantity: 17 }])
  })

  it('is forgotten after a time, event by event, and no sum with it, however late that was made', async () => {
    const { id } = await installation.tenancy.tenants.get(slug)
    const tenant = installation.tenancy.tenant(slug).kysely
    const days = (count: number) => new Date(hourOf(new Date()).getTime() - count * DAY_MS)
    const event = { meter: 'calls', key: 'long ago', quantity: '5', recorded_at: days(95) }
    await tenant.insertInto('usage_event').values(event).execute()
    const rollup = db().updateTable('usage_rollup').where('tenant_id', '=', id)
    const rollAgain = async () => {
      await rollup.set({ due_at: new Date(0) }).execute()
      await roll()
    }
    const known = async () => {
      const day = event.recorded_at.toISOString().slice(0, 10)
      const url = `/t/${slug}/billing/usage/hours?meter=calls&day=${day}`
      const events = tenant.selectFrom('usage_event').select('key').where('key', '=', event.key)
      return [(await ask(ann, 'GET', url)).body.items, await events.execute()]
    }
    const sum = [{ hour: event.recorded_at.toISOString(), quantity: 5 }]
    // Nobody could get in for more than three months.
    await rollup.set({ rolled_through: days(100) }).execute()
    await rollAgain()
    expect(await known()).toEqual([sum, [{ key: event.key }]])
    await rollAgain()
    expect(await known()).toEqual([sum, []])
    expect(await tenant.selectFrom('usage_event').select('key').execute()).not.toEqual([])
    const { due_at } = await db()
      .selectFrom('usage_rollup')
      .select('due_at')
      .where('tenant_id', '=', id)
      .executeTakeFirstOrThrow()
    expect(Number(due_at)).toBeGreaterThan(Date.now())
  })
})

describe('an organization that has all that its plan has', () => {
  it('gets no more of it, whoever was invited before', async () => {
    const [eve, joe] = [
      await makePerson(installation.tenancy, 'Eve'),
      await makePerson(installation.tenancy, 'Joe'),
    ]
    const claim = (host: string) => ask(ann, 'POST', '/t/uses/domains', { host })
    for (let time = 0; time < 2; time += 1) expect((await claim('a.example.com')).status).toBe(201)
    const second = await claim('b.example.com')
    expect([second.status, second.body.code]).toEqual([402, 'QUOTA_EXCEEDED'])
    const invite = ({ email }: TestPerson) =>
      ask(ann, 'POST', '/t/uses/invitations', { email, role: 'member' })
    const tokens: string[] = []
    for (const person of [eve, joe]) {
      expect((await invite(person)).status).toBe(201)
      const mail = (await readMails()).find((each) => each.includes(`To: ${person.email}\n`))
      tokens.push(/token=(\S+)/.exec(mail ?? '')?.[1] ?? '')
    }
    const accept = (person: TestPerson, token = '') => ask(person, 'POST', '/invitations/accept', { token })
    expect((await accept(eve, tokens[0])).status).toBe(200)
    const late = await accept(joe, tokens[1])
    expect([late.status, late.body.code]).toEqual([402, 'QUOTA_EXCEEDED'])
    expect((await invite(ben)).status).toBe(402)
    const { body } = await ask(ann, 'GET', '/t/uses/billing/usage')
    expect(body.items).toContainEqual({
      name: 'members',
      kind: 'count',
      used: 2,
      tree: null,
      soft: 1,
      hard: 2,
      warning: true,
    })
  })
})

async function readMails(): Promise<string[]> {
  const names = await readdir(installation.outbox)
  return await Promise.all(names.map((name) => readFile(joinPath(installation.outbox, name), 'utf8')))
}

describe('owners', () => {
  it('are warned of a quota once a month, however often it is used', async () => {
    await installation.restart()
    const names = await readdir(installation.outbox)
    const mails = await Promise.all(
      names.map((name) => readFile(joinPath(installation.outbox, name), 'utf8')),
    )
    const warnings = mails.filter((mail) => mail.includes('nearly used up'))
    expect(warnings.map((mail) => mail.split('\n').slice(0, 2)).sort()).toEqual(
      ['large', 'up-database', 'uses'].map((slug) => [
        `To: ${ann.email}`,
        `Subject: ${slug}: calls is nearly used up`,
      ]),
    )
  })
})

describe('time', () => {
  const now = new Date('2030-03-31T12:00:00Z')
  const ago = (days: number) => new Date(now.getTime() - days * DAY_MS)
  const rules = { afterTrial: 'fallback', graceDays: 14, defaultPlan: 'free' } as const
  const subscription = (values: Partial<Subscription>): Subscription => ({
    tenant_id: '',
    status: 'active',
    plan: 'pro',
    plan_since: ago(100),
    interval: 'month',
    currency: 'usd',
    trial_until: null,
    period_ends_at: null,
    cancel_at: null,
    past_due_since: null,
    suspended_at: null,
    moving_by: null,
    moving_until: null,
    customer: null,
    provider_subscription: null,
    hints: '0',
    hints_seen: '0',
    version: '1',
    due_at: null,
    lease: null,
    leased_until: null,
    attempts: 0,
    failure: null,
    created_at: ago(100),
    ...values,
  })

  it('ends trials, with the default plan or with nobody let in', () => {
    const over = subscription({ status: 'trialing', trial_until: ago(0) })
    expect(changesAt(over, now, rules)).toMatchObject({ status: 'canceled', plan: 'free' })
    expect(changesAt(over, now, { ...rules, afterTrial: 'suspend' })).toEqual({ status: 'unpaid' })
    const open = subscription({ status: 'trialing', trial_until: ago(-1) })
    expect([changesAt(open, now, rules), nextChange(open, rules)]).toEqual([null, ago(-1)])
  })

  it('ends grace to the day', () => {
    const late = (days: number) => subscription({ status: 'past_due', past_due_since: ago(days) })
    expect(changesAt(late(14), now, rules)).toEqual({ status: 'unpaid' })
    expect([changesAt(late(13), now, rules), nextChange(late(13), rules)]).toEqual([null, ago(-1)])
  })

  it('ends nothing that its provider keeps, but grace', () => {
    const kept = {
      provider_subscription: 'sub_1',
      trial_until: ago(1),
      cancel_at: ago(1),
      period_ends_at: ago(1),
    }
    for (const status of ['trialing', 'active'] as const) {
      const found = subscription({ ...kept, status })
      expect([changesAt(found, now, rules), nextChange(found, rules)]).toEqual([null, null])
    }
    const late = subscription({ ...kept, status: 'past_due', past_due_since: ago(20) })
    expect(changesAt(late, now, rules)).toEqual({ status: 'unpaid' })
  })

  it('begins periods, the last day of a short month being as good as any', () => {
    const ended = subscription({ period_ends_at: ago(0) })
    expect(changesAt(ended, now, rules)).toEqual({ period_ends_at: new Date('2030-04-30T12:00:00Z') })
    expect(addInterval(new Date('2032-02-29T00:00:00Z'), 'year')).toEqual(new Date('2033-02-28T00:00:00Z'))
    expect(addInterval(new Date('2030-12-31T00:00:00Z'), 'month')).toEqual(new Date('2031-01-31T00:00:00Z'))
  })
})
