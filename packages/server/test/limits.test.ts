import { randomBytes } from 'node:crypto'
import type { Strategy } from '@quickscale/tenancy'
import type { FastifyInstance, InjectOptions } from 'fastify'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import {
  type Application,
  buildApp,
  createFileMailer,
  defineApplication,
  type LimitOptions,
} from '../src/index.ts'
import { addressKey } from '../src/limiting/address.ts'
import { type Answer, send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'

/** The noisy tenant of each strategy; the quiet one is `two`, under `rls`. */
const noisy: Readonly<Record<Strategy, string>> = { rls: 'one', schema: 'sch', database: 'dat' }
const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation
let ann: TestPerson
let ben: TestPerson
let app: FastifyInstance

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true })
  const { tenancy } = installation
  for (const plan of ['schema', 'database'] as const)
    await tenancy.tenants.create({ slug: noisy[plan], name: plan, plan })
  ;[ann, ben] = [await makePerson(tenancy, 'Ann'), await makePerson(tenancy, 'Ben')]
  for (const slug of [...Object.values(noisy), 'two']) {
    for (const person of [ann, ben]) await join(tenancy, slug, person, 'owner')
  }
  await tenancy.members.deliver()
})
afterAll(() => installation.remove())
afterEach(() => app?.close())

const windowSeconds = 3_600
/** So many requests in a window that does not end while anything here runs. */
const only = (requests: number) => ({ requestsPerSecond: requests / windowSeconds })
const many = { requestsPerSecond: 1_000 }
const roomy: LimitOptions = {
  windowSeconds,
  plans: { only: many, schema: many, database: many },
  user: many,
  address: many,
}

async function open(
  limits: LimitOptions,
  options: { readonly application?: Application } = {},
): Promise<FastifyInstance> {
  return await buildApp({
    tenancy: installation.tenancy,
    secret: randomBytes(32),
    baseUrl: 'http://localhost',
    mailer: createFileMailer(installation.outbox),
    eventLoopDelayMsMax: 0,
    worker: false,
    limits: { ...roomy, ...limits },
    ...options,
  })
}

const contacts = (slug: string, { headers }: TestPerson = ann): InjectOptions => ({
  url: `/t/${slug}/contacts`,
  headers,
})

async function repeat(times: number, options: InjectOptions, server = app): Promise<Answer[]> {
  return await Promise.all(Array.from({ length: times }, () => send(server, options)))
}

/** How many answers had which status. */
function count(answers: readonly Answer[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

describe.each(strategies)('a noisy tenant under the %s strategy', (strategy) => {
  it('has what its plan says, and its neighbour has all of its own', async () => {
    const limited = only(12)
    app = await open({ plans: { only: limited, schema: limited, database: limited } })
    const answers = await repeat(20, contacts(noisy[strategy]))
    expect(count(answers)).toEqual({ 200: 12, 429: 8 })
    const refused = answers.find(({ status }) => status === 429)
    expect(refused).toMatchObject({
      type: 'application/problem+json',
      body: { code: 'RATE_LIMITED', status: 429 },
      headers: {
        'ratelimit-policy': expect.stringContaining('"tenant";q=12;w=3600'),
        ratelimit: expect.stringMatching(/"tenant";r=0;t=3[56]\d\d$/),
        'retry-after': expect.stringMatching(/^3[56]\d\d$/),
      },
    })
    expect(count(await repeat(12, contacts('two', ben)))).toEqual({ 200: 12 })
  })

  it('has so many requests worked on at once, lets some wait, and its neighbour waits for nobody', async () => {
    const slug = noisy[strategy]
    const plan = { ...many, concurrent: 2, waiting: 3 }
    app = await open({ plans: { only: plan, schema: plan, database: plan } })
    const make = (tenant: string) =>
      send(app, {
        method: 'POST',
        url: `/t/${tenant}/companies`,
        headers: ann.headers,
        payload: { name: 'A' },
      })
    const { body } = await make(slug)
    const release = await holdRow(slug, String(body.id))
    const change: InjectOptions = {
      method: 'PATCH',
      url: `/t/${slug}/companies/${body.id}`,
      headers: ann.headers,
      payload: { industry: 'Mining' },
    }
    const answers: Answer[] = []
    const running = Array.from({ length: 9 }, async () => void answers.push(await send(app, change)))
    await expect.poll(() => answers.length, { timeout: 20_000 }).toBe(4)
    expect(count(answers)).toEqual({ 429: 4 })
    expect(answers[0]).toMatchObject({ body: { code: 'TENANT_BUSY' }, headers: { 'retry-after': '1' } })
    expect(count(await repeat(3, contacts('two')))).toEqual({ 200: 3 })
    await release()
    await Promise.all(running)
    expect(count(answers)).toEqual({ 200: 5, 429: 4 })
    expect((await send(app, change)).status).toBe(200)
  })
})

it('what takes longer than the plan allows is ended, and nothing of it is done', async () => {
  app = await open({ plans: { only: { ...many, statementTimeoutMs: 200 } } })
  const make: InjectOptions = {
    method: 'POST',
    url: '/t/one/companies',
    headers: ann.headers,
    payload: { name: 'Slow' },
  }
  const { body } = await send(app, make)
  const release = await holdRow('one', String(body.id))
  const url = `/t/one/companies/${body.id}`
  const change = { url, headers: ann.headers, method: 'PATCH', payload: { industry: 'Mining' } } as const
  expect(await send(app, change)).toMatchObject({ status: 504, body: { code: 'STATEMENT_TIMEOUT' } })
  await release()
  expect((await send(app, { url, headers: ann.headers })).body).toMatchObject({ industry: null })
  expect((await send(app, change)).status).toBe(200)
})

/** Keeps everybody from changing a row; returns what ends that. */
async function holdRow(slug: string, id: string): Promise<() => Promise<void>> {
  const { databaseName, schemaName } = await installation.tenancy.tenants.placement(slug)
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query('begin')
  await client.query(
    `select from ${client.escapeIdentifier(schemaName)}.companies where id = $1 for update`,
    [id],
  )
  return () => client.end()
}

describe('what is counted', () => {
  it('is of the tenant, by whatever name and whoever asks', async () => {
    app = await open({ plans: { only: only(8) } })
    const { id } = await installation.tenancy.tenants.get('one')
    const ways: InjectOptions[] = [
      contacts('one'),
      contacts(id),
      { url: '/teams/one/contacts', headers: ann.headers },
      { url: '/contacts', headers: { ...ann.headers, 'x-tenant': id } },
      contacts('one', ben),
    ]
    const answers: Answer[] = []
    for (const way of ways) answers.push(...(await repeat(3, way)))
    expect(count(answers)).toEqual({ 200: 8, 429: 7 })
    // Nobody has to be known for it.
    expect((await send(app, { url: '/t/one/blog/posts' })).status).toBe(429)
    expect(count([await send(app, contacts('two'))])).toEqual({ 200: 1 })
  })

  it('is of the user in all tenants, and of nobody else', async () => {
    app = await open({ user: only(5) })
    const answers = [...(await repeat(4, contacts('one'))), ...(await repeat(4, contacts('two')))]
    expect(count(answers)).toEqual({ 200: 5, 429: 3 })
    expect((await send(app, { url: '/organizations', headers: ann.headers })).status).toBe(429)
    expect((await send(app, contacts('one', ben))).status).toBe(200)
  })

  it('is more for a change, and more still for what takes long', async () => {
    app = await open({ plans: { only: only(100) } })
    const left = async (options: InjectOptions) => {
      const { headers } = await send(app, { headers: ann.headers, ...options })
      return Number(/"tenant";r=(\d+)/.exec(String(headers.ratelimit))?.[1])
    }
    expect(await left({ url: '/t/one/contacts' })).toBe(99)
    expect(await left({ method: 'POST', url: '/t/one/tags', payload: { name: 'a' } })).toBe(97)
    const invitation = { email: 'new@example.test', role: 'viewer' }
    expect(await left({ method: 'POST', url: '/t/one/invitations', payload: invitation })).toBe(87)
  })

  it('is nothing of a stranger’s or of who has no part in the tenant', async () => {
    app = await open({ plans: { only: only(2) } })
    const eve = await makePerson(installation.tenancy, `Eve${randomBytes(3).toString('hex')}`)
    expect(count(await repeat(5, contacts('one', eve)))).toEqual({ 404: 5 })
    expect(count(await repeat(2, contacts('one')))).toEqual({ 200: 2 })
  })

  it('is as the plan of the moment says', async () => {
    app = await open({ plans: { only: only(1), rls: only(4) } })
    expect(count(await repeat(3, contacts('one')))).toEqual({ 200: 1, 429: 2 })
    await installation.tenancy.tenants.update('one', { plan: 'rls' })
    expect(count(await repeat(6, contacts('one')))).toEqual({ 200: 4, 429: 2 })
    await installation.tenancy.tenants.update('one', { plan: 'only' })
  })
})

describe('who is not known', () => {
  const from = (remoteAddress: string, more: InjectOptions = {}): InjectOptions => ({
    url: '/t/one/contacts',
    remoteAddress,
    ...more,
  })

  it('is counted by address, whatever the request says of it; who is known there is not', async () => {
    app = await open({ address: only(4) })
    const forged = (n: number) => from('203.0.113.9', { headers: { 'x-forwarded-for': `198.51.100.${n}` } })
    const answers = await Promise.all(Array.from({ length: 6 }, (_, n) => send(app, forged(n))))
    expect(count(answers)).toEqual({ 401: 4, 429: 2 })
    expect((await send(app, { ...contacts('one'), remoteAddress: '203.0.113.9' })).status).toBe(200)
    expect((await send(app, from('203.0.113.10'))).status).toBe(401)
    for (const url of ['/livez', '/readyz'])
      expect((await send(app, from('203.0.113.9', { url }))).status).toBe(200)
  })

  it('is counted with every credential that is none', async () => {
    app = await open({ address: only(3) })
    const guess = (n: number) => from('203.0.113.9', { headers: { authorization: `Bearer qs_guess${n}` } })
    const answers = await Promise.all(Array.from({ length: 5 }, (_, n) => send(app, guess(n))))
    expect(count(answers)).toEqual({ 401: 3, 429: 2 })
  })

  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:aaaa:bbbb:cccc:dddd', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ])('has with %s the address %s', (address, key) => {
    expect(addressKey(address)).toBe(key)
  })
})

describe('signing in', () => {
  const attempt = (email: string, remoteAddress: string): InjectOptions => ({
    method: 'POST',
    url: '/auth/sign-in',
    remoteAddress,
    payload: { email, password: 'not the password' },
  })
  const signIn = { windowSeconds }

  it('is tried a few times for an account, from wherever', async () => {
    app = await open({ signIn: { ...signIn, perAddress: 1_000, perAccount: 4 } })
    const answers: Answer[] = []
    for (let n = 0; n < 7; n += 1)
      answers.push(
        await send(app, attempt(n % 2 ? 'ann@example.test' : 'ANN@example.test', `203.0.113.${n}`)),
      )
    expect(count(answers.slice(4))).toEqual({ 429: 3 })
    expect(count(answers.slice(0, 4))).not.toHaveProperty('429')
    expect(answers[4]?.headers.ratelimit).toMatch(/"sign-in-account";r=0/)
  })

  it('is tried a few times from an address, for whomever', async () => {
    app = await open({ signIn: { ...signIn, perAddress: 3, perAccount: 1_000 } })
    const answers: Answer[] = []
    for (let n = 0; n < 5; n += 1)
      answers.push(await send(app, attempt(`person-${n}@example.test`, '203.0.113.77')))
    expect(count(answers.slice(3))).toEqual({ 429: 2 })
    expect(count(answers.slice(0, 3))).not.toHaveProperty('429')
  })
})

describe('processes that count in PostgreSQL', () => {
  it('count together, and each on its own while it cannot be reached', async () => {
    const limits: LimitOptions = { store: { kind: 'postgres' }, plans: { only: only(10) } }
    app = await open(limits)
    const other = await open(limits)
    try {
      const answers = [
        ...(await repeat(6, contacts('one'))),
        ...(await repeat(6, contacts('one', ben), other)),
      ]
      expect(count(answers)).toEqual({ 200: 10, 429: 2 })
      expect((await send(app, contacts('one'))).status).toBe(429)
      await installation.tenancy.controlPlane
        .kysely('limits')
        .schema.alterTable('counter')
        .renameTo('away')
        .execute()
      expect(count(await repeat(3, contacts('two')))).toEqual({ 200: 3 })
    } finally {
      await other.close()
    }
  })
})

describe.each(strategies)('a tenant under the %s strategy', (strategy) => {
  const slug = noisy[strategy]
  const make = (tenant = slug): InjectOptions => ({
    method: 'POST',
    url: `/t/${tenant}/contacts`,
    headers: ann.headers,
    payload: { first_name: 'A', last_name: 'B', email: 'a@example.test', company_id: companies.get(tenant) },
  })
  const companies = new Map<string, unknown>()
  const billed = (quotas: object) => {
    const prices = [{ amount: 100, currency: 'usd', interval: 'month' }]
    const plans = { only: { quotas }, schema: { quotas, prices }, database: { quotas, prices } }
    const billing = { plans, defaultPlan: 'only' }
    return {
      application: defineApplication({ modules: { crm: {}, blog: {}, auth: {}, teams: {}, billing } }),
    }
  }

  it('has no more of what is counted than its plan allows, and its neighbour has all of its own', async () => {
    app = await open({}, billed({ contacts: { hard: 3 } }))
    for (const tenant of [slug, 'two']) {
      const company = { method: 'POST', url: `/t/${tenant}/companies`, headers: ann.headers } as const
      companies.set(tenant, (await send(app, { ...company, payload: { name: 'C' } })).body.id)
      await installation.tenancy.tenant(tenant).kysely.deleteFrom('contacts').execute()
    }
    expect(count(await repeat(2, { ...make(), payload: {} }))).toEqual({ 400: 2 })
    const answers = await repeat(7, make())
    expect(count(answers)).toEqual({ 201: 3, 402: 4 })
    expect(answers.find(({ status }) => status === 402)?.body.code).toBe('QUOTA_EXCEEDED')
    expect(await readContacts(slug)).toBe(3)
    if (slug !== 'two') expect(count(await repeat(3, make('two')))).toEqual({ 201: 3 })
    const { kysely } = installation.tenancy.tenant(slug)
    const first = kysely.selectFrom('contacts').select('id').limit(1)
    await kysely.deleteFrom('contacts').where('id', '=', first).execute()
    await expect.poll(async () => (await send(app, make())).status, { timeout: 20_000 }).toBe(201)
    expect((await send(app, make())).status).toBe(402)
  })
})

async function readContacts(slug: string): Promise<number> {
  const { rows } = await installation.tenancy.tenant(slug).query('select count(*)::int as n from contacts')
  return rows[0]?.n
}

describe('options that cannot be meant', () => {
  it.each<[object, string]>([
    [{ plans: { onyl: {} } }, 'limits.plans.onyl is no plan of the tenancy, did you mean only?'],
    [{ plans: { only: { requestsPerSecond: 0 } } }, 'limits.plans.only.requestsPerSecond'],
    [{ user: { perSecond: 5 } }, 'Unrecognized key: "perSecond"'],
    [{ store: { kind: 'redis' } }, 'limits.store.client'],
  ])('%j are refused', async (limits, problem) => {
    await expect(open(limits)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(problem),
    })
  })
})
