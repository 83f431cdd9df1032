import { readdir, readFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { billingOptions } from '../src/modules/billing/options.ts'
import { endPurged } from '../src/modules/billing/purged.ts'
import { openStripe } from '../src/modules/billing/stripe/client.ts'
import { createStripeProvider } from '../src/modules/billing/stripe/provider.ts'
import { verifyEvent } from '../src/modules/billing/stripe/webhook.ts'
import type { BillingTables, Changes, Subscription } from '../src/modules/billing/tables.ts'
import { reportUsage } from '../src/modules/billing/usage/report.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson } from './support/people.ts'
import { formOf } from './support/stripe-form.ts'
import { SECRET_KEY, type StripeServer, startStripeServer } from './support/stripe-server.ts'
import type { StripeEvent, StripeSubscription } from './support/stripe-state.ts'
import { deliver, shuffle, signatureOf, WEBHOOK_SECRET } from './support/stripe-webhooks.ts'

const usd = (amount: number, stripePrice: string) => [
  { amount, currency: 'usd', interval: 'month', stripePrice },
]
const plans = {
  rls: { quotas: { members: { hard: 5 } } },
  only: {
    prices: [
      ...usd(2900, 'price_only'),
      { amount: 29_000, currency: 'usd', interval: 'year', stripePrice: 'price_only_year' },
    ],
    trialDays: 14,
    quotas: { contacts: { hard: 1_000 } },
  },
  schema: { prices: usd(7900, 'price_schema') },
  database: { prices: usd(50_000, 'price_database') },
}

let stripe: StripeServer
let installation: TestInstallation
let origin = ''

beforeAll(async () => {
  stripe = await startStripeServer()
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    tenants: [],
    // Whoever is not known may ask 50 times in ten seconds.
    limits: { user: { requestsPerSecond: 10_000 }, address: { requestsPerSecond: 5 } },
    teams: { defaultPlan: 'rls', plans: ['rls'] },
    billing: {
      plans,
      defaultPlan: 'rls',
      stripe: { secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, apiUrl: stripe.url },
    },
  })
  origin = await installation.app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await installation.remove()
  await stripe.close()
})

type Headers = Readonly<Record<string, string>>
type Body = Readonly<Record<string, unknown>>

/** A real request; the answer has its status. */
async function ask(headers: Headers, method: 'GET' | 'POST', path: string, payload?: object): Promise<Body> {
  const sent = payload && {
    body: JSON.stringify(payload),
    headers: { ...headers, 'content-type': 'application/json' },
  }
  const answer = await fetch(origin + path, { method, headers, ...sent })
  const cookies = answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0])
  return { ...((await answer.json()) as Body), httpStatus: answer.status, cookie: cookies.join('; ') }
}

/** Everything that has happened at Stripe until now, from `since` on. */
const send = (events: readonly StripeEvent[] = stripe.state.events) =>
  deliver(`${origin}/billing/webhooks/stripe`, events)

/** Whatever has happened is told twice, each time in another order, and all that was told before with it. */
async function sendShuffledAndReplayed(seed: number): Promise<void> {
  const statuses = [
    ...(await send(shuffle(stripe.state.events, seed))),
    ...(await send(shuffle(stripe.state.events, seed + 1))),
  ]
  expect(new Set(statuses)).toEqual(new Set([200]))
}

async function until(headers: Headers, slug: string, wanted: object): Promise<Body> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const answer = await ask(headers, 'GET', `/t/${slug}/billing/subscription`)
    const found = Object.entries(wanted).every(([name, value]) => answer[name] === value)
    if (found && answer.change === null) return answer
    await sleep(50)
  }
  const { cookie: _, ...last } = await ask(headers, 'GET', `/t/${slug}/billing/subscription`)
  return expect.unreachable(`${JSON.stringify(last)} does not become ${JSON.stringify(wanted)}`)
}

/** Looks at how a subscription is kept until it is as it should be. */
async function untilRow(tenantId: string, isSo: (row: Subscription) => boolean): Promise<void> {
  const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
  const row = db.selectFrom('subscription').selectAll().where('tenant_id', '=', tenantId)
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (isSo(await row.executeTakeFirstOrThrow())) return
    await sleep(20)
  }
  expect.unreachable(JSON.stringify(await row.executeTakeFirst()))
}

const strategyOf = async (slug: string) => (await installation.tenancy.tenants.placement(slug)).strategy

/** By mail and password, as a browser does. */
async function signUp(name: string): Promise<Headers> {
  const [email, password] = [`${name}@example.test`, 'correct horse battery']
  await ask({}, 'POST', '/auth/sign-up', { name, email, password })
  const names = (await readdir(installation.outbox)).sort()
  const mails = await Promise.all(names.map((each) => readFile(joinPath(installation.outbox, each), 'utf8')))
  const mail = mails.filter((each) => each.includes(`To: ${email}\n`)).at(-1) ?? ''
  const token = decodeURIComponent(/token=(\S+)/.exec(mail)?.[1] ?? '')
  await ask({}, 'POST', '/auth/email/verify', { token })
  const { cookie } = await ask({}, 'POST', '/auth/sign-in', { email, password })
  return { cookie: String(cookie) }
}

/** An organization of somebody who has paid for a plan. */
async function makePaying(slug: string, plan: string): Promise<{ owner: Headers; paid: StripeSubscription }> {
  await installation.tenancy.tenants.create({ slug, name: slug, plan: 'rls' })
  const person = await makePerson(installation.tenancy, slug)
  await join(installation.tenancy, slug, person, 'owner')
  const owner = { ...person.headers }
  const { url } = await ask(owner, 'POST', `/t/${slug}/billing/checkout`, { plan })
  const paid = stripe.state.pay(String(url))
  await send()
  await until(owner, slug, { status: 'active', plan })
  return { owner, paid }
}

describe('from sign-up to downgrade', () => {
  it('an organization is what Stripe says, however often, late and out of order its events come', async () => {
    const owner = await signUp('founder')
    const made = await ask(owner, 'POST', '/organizations', { name: 'Acme', slug: 'acme' })
    expect([made.httpStatus, made.plan]).toEqual([201, 'rls'])
    const trial = await ask(owner, 'POST', '/t/acme/billing/trial', { plan: 'only' })
    expect(trial).toMatchObject({ httpStatus: 200, status: 'trialing', plan: 'only' })

    // Another plan than the one that is tried is paid for from the first day.
    const other = await ask(owner, 'POST', '/t/acme/billing/checkout', { plan: 'schema' })
    expect(stripe.state.sessions.get(String(other.url).split('/').at(-1) ?? '')?.trialEnd).toBeNull()
    const checkout = await ask(owner, 'POST', '/t/acme/billing/checkout', { plan: 'only' })
    // Nobody pays twice.
    expect(() => stripe.state.pay(String(other.url))).toThrow('nothing can be paid for')
    expect(checkout.url).toContain('https://checkout.stripe.test/')
    const paid = stripe.state.pay(String(checkout.url))
    // What was left of the trial stays free.
    expect(paid.trial_end).toBe(Math.floor(Date.parse(String(trial.trial_until)) / 1000))
    await sendShuffledAndReplayed(1)
    await until(owner, 'acme', { status: 'trialing', plan: 'only' })

    const company = await ask(owner, 'POST', '/t/acme/companies', { name: 'Customer' })
    const upgraded = await ask(owner, 'POST', '/t/acme/billing/plan', { plan: 'database' })
    expect(upgraded).toMatchObject({
      httpStatus: 202,
      change: { from: 'only', to: 'database', state: 'pending' },
    })
    expect(paid.status).toBe('active')
    await sendShuffledAndReplayed(3)
    await until(owner, 'acme', { status: 'active', plan: 'database' })
    expect(await strategyOf('acme')).toBe('database')
    expect((await ask(owner, 'GET', `/t/acme/companies/${company.id}`)).name).toBe('Customer')

    const portal = await ask(owner, 'POST', '/t/acme/billing/portal')
    expect(portal.url).toBe(`https://portal.stripe.test/${paid.customer}`)
    stripe.state.changeSubscription(paid.id, { cancel_at_period_end: 'true' })
    await sendShuffledAndReplayed(4)
    const ends = new Date((paid.cancel_at ?? 0) * 1000).toISOString()
    await until(owner, 'acme', { status: 'active', plan: 'database', cancel_at: ends, period_ends_at: ends })
    stripe.state.renew(paid)
    await sendShuffledAndReplayed(5)
    await until(owner, 'acme', { status: 'canceled', plan: 'rls' })
    expect(await strategyOf('acme')).toBe('rls')
    expect((await ask(owner, 'GET', `/t/acme/companies/${company.id}`)).name).toBe('Customer')
    await sendShuffledAndReplayed(6)
    await until(owner, 'acme', { status: 'canceled', plan: 'rls' })
  })
})

describe('a plan that is paid for', () => {
  it('begins with a checkout, once, and needs another card when that one is refused', async () => {
    const { owner, paid } = await makePaying('card', 'only')
    const again = await ask(owner, 'POST', '/t/card/billing/checkout', { plan: 'only' })
    expect([again.httpStatus, again.code]).toEqual([409, 'SUBSCRIPTION_EXISTS'])
    stripe.state.declines = true
    const refused = await ask(owner, 'POST', '/t/card/billing/plan', { plan: 'database' })
    stripe.state.declines = false
    expect([refused.httpStatus, refused.code]).toEqual([402, 'PAYMENT_FAILED'])
    const year = { plan: 'only', interval: 'year' }
    stripe.state.declines = true
    expect((await ask(owner, 'POST', '/t/card/billing/plan', year)).code).toBe('PAYMENT_FAILED')
    stripe.state.declines = false
    const { id } = await installation.tenancy.tenants.get('card')
    const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
    const row = db.selectFrom('subscription').selectAll().where('tenant_id', '=', id)
    const before = await row.executeTakeFirstOrThrow()
    // With another card; back; and once more: never an answer of before.
    for (const interval of ['year', 'month', 'year']) {
      const { httpStatus } = await ask(owner, 'POST', '/t/card/billing/plan', { plan: 'only', interval })
      expect(httpStatus).toBe(200)
      expect(paid.items.data[0]?.price.id).toBe(interval === 'year' ? 'price_only_year' : 'price_only')
    }
    expect(Number((await row.executeTakeFirstOrThrow()).plan_since)).toBeGreaterThan(
      Number(before.plan_since),
    )
    await until(owner, 'card', { status: 'active', plan: 'only' })
    expect(stripe.state.subscriptionsOf(paid.customer)).toHaveLength(1)
    expect(await ask(owner, 'POST', '/t/card/billing/cancellation')).toMatchObject({
      cancel_at: expect.any(String),
    })
    expect(paid.cancel_at_period_end).toBe(true)
    // Ended where nobody has told us.
    stripe.state.endSubscription(paid.id)
    const late = await ask(owner, 'POST', '/t/card/billing/plan', { plan: 'only' })
    expect([late.httpStatus, late.code]).toEqual([409, 'CONFLICT'])
    // What was noted is looked at though no event comes.
    await untilRow(id, ({ status }) => status === 'canceled')
    await send()
    await until(owner, 'card', { status: 'canceled', plan: 'rls' })
    // Nor can somebody pay who was deleted there; the next checkout is another customer's.
    stripe.state.deleteCustomer(paid.customer)
    await send()
    expect((await ask(owner, 'POST', '/t/card/billing/portal')).code).toBe('SUBSCRIPTION_NONE')
    const anew = await ask(owner, 'POST', '/t/card/billing/checkout', { plan: 'only' })
    expect(anew.httpStatus, JSON.stringify(anew)).toBe(200)
    const second = stripe.state.pay(String(anew.url))
    expect(second.customer).not.toBe(paid.customer)
    await send()
    await until(owner, 'card', { status: 'active', plan: 'only' })
  })

  it('is paid for by one customer, whoever asks, and once, though two pages were paid for', async () => {
    const { owner, paid } = await makePaying('twice', 'only')
    const { id } = await installation.tenancy.tenants.get('twice')
    const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
    const forget = (changes: Changes) =>
      db.updateTable('subscription').set(changes).where('tenant_id', '=', id).execute()
    const settled = ({ due_at, lease, hints, hints_seen, provider_subscription, customer }: Subscription) =>
      lease === null &&
      hints === hints_seen &&
      Number(due_at) > Date.now() &&
      provider_subscription !== null &&
      customer !== null
    await untilRow(id, settled)
    // What the answers to these were was never written down.
    await forget({ provider_subscription: null, customer: null })
    const person = await makePerson(installation.tenancy, 'Second')
    await join(installation.tenancy, 'twice', person, 'owner')
    const again = await ask({ ...person.headers }, 'POST', '/t/twice/billing/checkout', { plan: 'only' })
    expect([again.httpStatus, again.code]).toEqual([409, 'SUBSCRIPTION_EXISTS'])
    await until(owner, 'twice', { status: 'active', plan: 'only' })
    const session = stripe.state.makeSession({
      customer: paid.customer,
      line_items: { 0: { price: 'price_only_year' } },
      subscription_data: { metadata: { tenant_id: id } },
    })
    const second = stripe.state.pay(String(Object(session).url))
    Object.assign(second, { created: paid.created + 1 })
    const sold = structuredClone({ ...paid, id: 'sub_elsewhere', metadata: {} })
    stripe.state.subscriptions.set(sold.id, sold)
    await send()
    await until(owner, 'twice', { status: 'active', interval: 'year' })
    expect([paid.status, second.status, sold.status]).toEqual(['canceled', 'active', 'active'])
  })

  it('follows from no price that is not sold here', async () => {
    const { owner, paid } = await makePaying('custom', 'only')
    const [item] = paid.items.data
    if (item) item.price = { id: 'price_custom' }
    stripe.state.renew(paid)
    await send()
    const { id } = await installation.tenancy.tenants.get('custom')
    await untilRow(id, ({ failure }) => failure?.includes('price_custom') === true)
    expect((await ask(owner, 'GET', '/t/custom/billing/subscription')).change).toMatchObject({
      state: 'blocked',
    })
  })

  it('is not had without paying', async () => {
    const { tenancy } = installation
    await tenancy.tenants.create({ slug: 'poor', name: 'poor', plan: 'rls' })
    const person = await makePerson(tenancy, 'Poor')
    await join(tenancy, 'poor', person, 'owner')
    const owner = { ...person.headers }
    const chosen = await ask(owner, 'POST', '/t/poor/billing/plan', { plan: 'database' })
    expect([chosen.httpStatus, chosen.code]).toEqual([402, 'CHECKOUT_REQUIRED'])
    expect((await ask(owner, 'POST', '/t/poor/billing/portal')).code).toBe('SUBSCRIPTION_NONE')
    // The page was opened, nobody has paid.
    await ask(owner, 'POST', '/t/poor/billing/checkout', { plan: 'database' })
    await send()
    await until(owner, 'poor', { status: 'none', plan: 'rls' })
    stripe.failNext('/v1/checkout/sessions', 3)
    const down = await ask(owner, 'POST', '/t/poor/billing/checkout', { plan: 'database' })
    expect([down.httpStatus, down.code]).toEqual([503, 'PROVIDER_UNAVAILABLE'])
  })
})

describe('an invoice that is not paid', () => {
  const enter = (owner: Headers, slug: string) => ask(owner, 'GET', `/t/${slug}/companies`)
  /** So long ago that there is no grace left. */
  const passGrace = async (slug: string) => {
    const { id } = await installation.tenancy.tenants.get(slug)
    const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
    const past_due_since = new Date(Date.now() - 14 * 86_400_000)
    await db.updateTable('subscription').set({ past_due_since }).where('tenant_id', '=', id).execute()
  }
  const fail = async (paid: StripeSubscription) => {
    stripe.state.declines = true
    stripe.state.renew(paid)
    stripe.state.declines = false
    await sendShuffledAndReplayed(7)
  }

  it('leaves time, then closes the organization until it is paid; its owner still gets to the invoice', async () => {
    const { owner, paid } = await makePaying('owing', 'only')
    await fail(paid)
    await until(owner, 'owing', { status: 'past_due', suspended: false })
    expect((await enter(owner, 'owing')).httpStatus).toBe(200)
    await passGrace('owing')
    await fail(paid)
    await until(owner, 'owing', { status: 'unpaid', suspended: true, plan: 'only' })
    expect(await enter(owner, 'owing')).toMatchObject({ httpStatus: 403, code: 'TENANT_SUSPENDED' })
    const invoices = await ask(owner, 'GET', '/t/owing/billing/invoices?limit=2')
    const [open] = invoices.items as Body[]
    expect(open).toMatchObject({
      status: 'open',
      amount_paid: 0,
      url: expect.stringContaining('https://invoice'),
    })
    const rest = await ask(owner, 'GET', `/t/owing/billing/invoices?limit=2&after=${invoices.next}`)
    expect([rest.items, rest.next]).toEqual([[expect.objectContaining({ status: 'paid' })], null])
    expect((await ask(owner, 'GET', '/t/owing/billing/invoices?after=in_nobody')).httpStatus).toBe(404)
    expect((await ask(owner, 'POST', '/t/owing/billing/portal')).httpStatus).toBe(200)
    // Neither what only its own tables know is asked, nor are they where an answer is kept.
    const again = { ...owner, 'idempotency-key': 'again' }
    expect((await ask(owner, 'POST', '/t/owing/billing/plan', { plan: 'only' })).httpStatus).toBe(200)
    expect((await ask(again, 'POST', '/t/owing/billing/plan', { plan: 'only' })).httpStatus).toBe(200)
    expect((await ask(again, 'POST', '/t/owing/billing/portal')).httpStatus).toBe(200)
    stripe.state.settle(paid)
    await sendShuffledAndReplayed(8)
    await until(owner, 'owing', { status: 'active', suspended: false, past_due_since: null })
    expect((await enter(owner, 'owing')).httpStatus).toBe(200)
  })

  it.each(['before', 'after'])('that is paid opens nothing that an operator has closed %s', async (when) => {
    const slug = `closed-${when}`
    const { tenants } = installation.tenancy
    const { owner, paid } = await makePaying(slug, 'only')
    if (when === 'before') await tenants.suspend(slug, { reason: 'abuse' })
    await fail(paid)
    await until(owner, slug, { status: 'past_due' })
    await passGrace(slug)
    await fail(paid)
    await until(owner, slug, { status: 'unpaid', suspended: true })
    if (when === 'after') await tenants.suspend(slug, { reason: 'abuse' })
    stripe.state.settle(paid)
    await send()
    await until(owner, slug, { status: 'active', suspended: false })
    expect((await enter(owner, slug)).code).toBe('TENANT_SUSPENDED')
    expect(await tenants.suspensions(slug)).toMatchObject([{ cause: 'operator', reason: 'abuse' }])
    await tenants.resume(slug, { cause: 'operator' })
    expect((await enter(owner, slug)).httpStatus).toBe(200)
  })
})

describe('an organization that is gone', () => {
  it('has its subscription ended, and is left alone when Stripe says so', async () => {
    const { paid } = await makePaying('gone', 'only')
    const { id } = await installation.tenancy.tenants.get('gone')
    await installation.tenancy.tenants.delete('gone')
    const page = stripe.state.makeSession({
      customer: paid.customer,
      line_items: { 0: { price: 'price_only' } },
    })
    const second = stripe.state.pay(String(Object(page).url))
    const open = stripe.state.makeSession({
      customer: paid.customer,
      line_items: { 0: { price: 'price_only' } },
    })
    stripe.state.renew(paid)
    for (const status of ['active', 'canceled']) {
      expect(paid.status).toBe(status)
      await send()
      await untilRow(
        id,
        ({ due_at, lease, hints, hints_seen }) => due_at === null && lease === null && hints === hints_seen,
      )
    }
    expect(second.status).toBe('canceled')
    expect(() => stripe.state.pay(String(Object(open).url))).toThrow('nothing can be paid for')
  })
})

describe('an organization of which not even a record is left', () => {
  it('has its subscription ended, by one of those who try, when Stripe answers', async () => {
    const { paid } = await makePaying('purged', 'only')
    const { tenancy, app } = installation
    const { id } = await tenancy.tenants.get('purged')
    await tenancy.tenants.delete('purged')
    const db = tenancy.controlPlane.kysely<BillingTables>('billing')
    await sql`delete from catalog.tenant where id = ${id}`.execute(db)
    expect(paid.status).toBe('active')
    const provider = createStripeProvider({
      stripe: openStripe({ secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, apiUrl: stripe.url }),
      db,
      options: billingOptions.parse({ plans }),
      appUrl: origin,
      log: app.log,
    })
    const ending = { db, provider, log: app.log, closing: new AbortController().signal }
    const left = () => db.selectFrom('purged').select('customer').where('tenant_id', '=', id).execute()
    const failing = { end: async () => Promise.reject(new Error('Stripe is down')) }
    await endPurged({ ...ending, provider: failing })
    expect(await left()).toEqual([{ customer: paid.customer }])
    await Promise.all([endPurged(ending), endPurged(ending)])
    expect([paid.status, await left()]).toEqual(['canceled', []])
  })
})

describe('a settlement that fails', () => {
  it('does not put off what was said meanwhile', async () => {
    const { paid } = await makePaying('meanwhile', 'only')
    const { id } = await installation.tenancy.tenants.get('meanwhile')
    const read = `/v1/subscriptions?customer=${paid.customer}&status=all&limit=100`
    stripe.failNext(read, 3)
    stripe.state.renew(paid)
    await send()
    await untilRow(id, ({ lease }) => lease !== null)
    stripe.state.renew(paid)
    await send()
    await untilRow(id, ({ lease, hints, hints_seen, due_at }) => {
      const isPutOff = lease === null && hints !== hints_seen && Number(due_at) > Date.now()
      expect(isPutOff).toBe(false)
      return hints === hints_seen
    })
  })
})

describe('usage', () => {
  it('is told to Stripe once, what comes late too, and later when Stripe is down', async () => {
    const { paid } = await makePaying('metered', 'only')
    const { id: tenant_id } = await installation.tenancy.tenants.get('metered')
    const db = installation.tenancy.controlPlane.kysely<BillingTables>('billing')
    const meters = { calls: { stripeEvent: 'api_calls' }, sms: {} }
    const provider = createStripeProvider({
      stripe: openStripe({ secretKey: SECRET_KEY, webhookSecret: WEBHOOK_SECRET, apiUrl: stripe.url }),
      db,
      options: billingOptions.parse({ plans, meters }),
      appUrl: origin,
      log: installation.app.log,
    })
    const report = () => reportUsage({ db, options: { meters }, provider, log: installation.app.log })
    const hour = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000)
    const use = (quantity: string) =>
      db
        .insertInto('usage_hour')
        .values(['calls', 'sms'].map((meter) => ({ tenant_id, meter, hour, quantity })))
        .onConflict((conflict) => conflict.columns(['tenant_id', 'meter', 'hour']).doUpdateSet({ quantity }))
        .execute()
    const told = () => stripe.state.metered.map(({ event_name, payload }) => [event_name, formOf(payload)])
    const event = (value: string) => ['api_calls', { stripe_customer_id: paid.customer, value }]
    await use('10')
    stripe.failNext('/v1/billing/meter_events', 3)
    await report()
    expect(told()).toEqual([])
    await report()
    await report()
    expect(told()).toEqual([event('10')])
    // A process that ended between telling and writing that down.
    await db.updateTable('usage_hour').set({ reported: '0' }).where('tenant_id', '=', tenant_id).execute()
    await report()
    expect(told()).toEqual([event('10')])
    await use('15')
    await report()
    expect(told()).toEqual([event('10'), event('5')])
  })
})

describe('an event', () => {
  it('is a hint: what it says is not believed, and what is not signed is not heard', async () => {
    const { owner, paid } = await makePaying('hinted', 'only')
    const lie = structuredClone({ ...paid, items: { data: [{ price: { id: 'price_database' } }] } })
    const event = (id: string, object: object): StripeEvent => ({
      id,
      object: 'event',
      type: 'customer.subscription.updated',
      created: Math.floor(Date.now() / 1000),
      data: { object },
    })
    expect(
      await send([event('evt_lie', lie), event('evt_unknown', { ...lie, customer: 'cus_unknown' })]),
    ).toEqual([200, 200])
    expect(await send([event('evt_thin', {})])).toEqual([200])
    await until(owner, 'hinted', { status: 'active', plan: 'only' })
    // More of them than an address may ask.
    expect(new Set(await send(Array.from({ length: 150 }, () => event('evt_thin', {}))))).toEqual(
      new Set([200]),
    )
    const reads = stripe.requests.length
    const body = JSON.stringify(event('evt_forged', paid))
    for (const signature of [
      undefined,
      '',
      't=1,v1=00',
      signatureOf(body, { secret: 'whsec_guessed' }),
      signatureOf(`${body} `),
    ]) {
      const answer = await fetch(`${origin}/billing/webhooks/stripe`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(signature !== undefined && { 'stripe-signature': signature }),
        },
        body,
      })
      expect([answer.status, ((await answer.json()) as Body).code]).toEqual([400, 'SIGNATURE_INVALID'])
    }
    expect(stripe.requests).toHaveLength(reads)
  })
})

describe('a signature', () => {
  // Made with openssl: HMAC-SHA256 of `1700000000.<body>` under `whsec_vector` and `whsec_other`.
  const body = Buffer.from('{"id":"evt_1","object":"event"}')
  const good = '054fb216ec215036ac666fdcd7b515d9e87d75ea9803c1d5e36b049f004192ec'
  const other = 'ce486949e2e39bec553617072a9bf7c086e490c7071f3324a664d8082cf43f97'
  const at = 1_700_000_000_000
  const verify = (header: string, text: Buffer, receivedAt = at) =>
    verifyEvent(text, header, 'whsec_vector', receivedAt)

  it('of Stripe is taken, for five minutes, beside others too', () => {
    expect(verify(`t=1700000000,v1=${good}`, body).id).toBe('evt_1')
    expect(verify(`t=1700000000,v1=${other},v1=${good},v0=${other}`, body).id).toBe('evt_1')
    expect(verify(`t=1700000000,v1=${good}`, body, at + 300_000).id).toBe('evt_1')
  })

  it.each([
    ['with another secret', `t=1700000000,v1=${other}`, body, at],
    ['of another moment', `t=1700000001,v1=${good}`, body, at],
    ['that is old', `t=1700000000,v1=${good}`, body, at + 301_000],
    ['of another body', `t=1700000000,v1=${good}`, Buffer.from('{"id":"evt_2","object":"event"}'), at],
    [
      'of the same body written differently',
      `t=1700000000,v1=${good}`,
      Buffer.from('{"id": "evt_1","object":"event"}'),
      at,
    ],
    ['of the old scheme only', `t=1700000000,v0=${good}`, body, at],
    ['without a moment', `v1=${good}`, body, at],
    ['that is cut off', `t=1700000000,v1=${good.slice(0, 32)}`, body, at],
    ['that is nothing', '', body, at],
    ['of nothing', `t=1700000000,v1=${good}`, Buffer.from(''), at],
  ])('%s is refused', (_what, header, text, receivedAt) => {
    expect(() => verify(header, text, receivedAt)).toThrow('Not signed by Stripe')
  })
})
