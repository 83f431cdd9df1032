import type { Strategy } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { grantOperator } from '../src/index.ts'
import type { BillingTables } from '../src/modules/billing/tables.ts'
import { type Answer, sendingTo } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'
import { signUp, type Visitor } from './support/sessions.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation
let operator: Visitor
/** Has signed in, and owns every organization. */
let owner: Visitor
let admin: TestPerson
const slugOf = (strategy: Strategy) => `of-${strategy}`
const billing = () => installation.tenancy.controlPlane.kysely<BillingTables>('billing')

beforeAll(async () => {
  const prices = [{ amount: 7900, currency: 'usd', interval: 'month' }]
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    tenants: [],
    billing: {
      defaultPlan: 'rls',
      plans: { rls: {}, only: { prices }, schema: { prices }, database: { prices } },
    },
  })
  const { tenancy } = installation
  ;[operator, owner] = [await signUp(installation, 'olga'), await signUp(installation, 'owner')]
  admin = await makePerson(tenancy, 'Admin')
  await grantOperator(tenancy, operator.email)
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: slugOf(plan), name: plan, plan })
    await tenancy.members.put(slugOf(plan), { ...owner, userId: owner.id, name: 'Owner', role: 'owner' })
    await join(tenancy, slugOf(plan), admin, 'admin')
  }
  await tenancy.members.deliver()
})
afterAll(() => installation.remove())

interface Headed {
  readonly headers: Readonly<Record<string, string>>
}
const ask = sendingTo(() => installation.app)
const outcome = ({ status, body }: Answer) => [status, body.code]

const written = (organization: string, number: string, month = 1) => ({
  organization,
  number,
  amount: 7900,
  currency: 'usd',
  period_starts_at: `2030-0${month}-01T00:00:00.000Z`,
  period_ends_at: `2030-0${month + 1}-01T00:00:00.000Z`,
  issued_at: `2030-0${month}-02T00:00:00.123Z`,
  due_at: `2030-0${month}-16T00:00:00.000Z`,
  url: 'https://books.example.com/1.pdf',
})
const record = (invoice: object, by: Headed = operator) => ask(by, 'POST', '/operator/invoices', invoice)
const settle = (id: unknown, status: string, by: Headed = operator) =>
  ask(by, 'PATCH', `/operator/invoices/${id}`, { status })
const listed = (slug: string, query = '') => ask(admin, 'GET', `/t/${slug}/billing/invoices${query}`)

describe.each(strategies)('the invoices of an organization with the strategy %s', (strategy) => {
  const slug = slugOf(strategy)
  const number = (month: number) => `${strategy}/2030-${month}`

  it('are recorded by an operator, and seen by its admins, the newest first, page by page', async () => {
    expect((await listed(slug)).body).toEqual({ items: [], next: null })
    const made: Answer[] = []
    for (const month of [2, 1, 3]) made.push(await record(written(slug, number(month), month)))
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201])
    const [february, january, march] = made.map(({ body }) => body.id)
    expect((await settle(january, 'paid')).body).toMatchObject({ status: 'paid', amount_paid: 7900 })
    expect((await settle(february, 'void')).body).toMatchObject({ status: 'void', amount_paid: 0 })
    const first = await listed(slug, '?limit=2')
    expect(first.body.items).toEqual([
      {
        id: march,
        number: number(3),
        status: 'open',
        currency: 'usd',
        amount_due: 7900,
        amount_paid: 0,
        created_at: '2030-03-02T00:00:00.123Z',
        due_at: '2030-03-16T00:00:00.000Z',
        url: null,
        pdf_url: 'https://books.example.com/1.pdf',
      },
      expect.objectContaining({ id: february, status: 'void' }),
    ])
    const rest = await listed(slug, `?limit=2&after=${first.body.next}`)
    expect(rest.body).toEqual({
      items: [expect.objectContaining({ id: january, status: 'paid', amount_paid: 7900 })],
      next: null,
    })
    const seen = await ask(operator, 'GET', `/operator/invoices?organization=${slug}&limit=1`)
    expect(seen.body.items).toMatchObject([{ id: march, period_ends_at: '2030-04-01T00:00:00.000Z' }])
    // Nobody else has any of it.
    const others = strategies.filter((each) => each !== strategy).map(slugOf)
    for (const other of others) {
      expect((await listed(other)).text).not.toContain(march)
      expect((await listed(other, `?after=${first.body.next}`)).status).toBe(404)
    }
  })

  it('are there once for each number, however often and however many at once record them', async () => {
    const invoice = written(slug, `${strategy} once`, 4)
    const answers = await Promise.all(Array.from({ length: 6 }, () => record(invoice)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 201])
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1)
    const id = answers[0]?.body.id
    await settle(id, 'paid')
    expect((await record(invoice)).body).toMatchObject({ id, status: 'paid' })
    const elsewhere = slugOf(strategies.find((each) => each !== strategy) ?? strategy)
    const others = [
      { ...invoice, organization: elsewhere },
      { ...invoice, amount: 7901 },
      { ...invoice, issued_at: '2030-04-02T00:00:00.124Z' },
      { ...invoice, due_at: null },
      { ...invoice, url: undefined },
    ]
    for (const other of others) expect(outcome(await record(other))).toEqual([409, 'INVOICE_NUMBER_USED'])
  })

  it('suspend it when they are overdue for long, and open it again when nothing is owed', async () => {
    const subscription = async () => (await ask(owner, 'GET', `/t/${slug}/billing/subscription`)).body
    const until = async (status: string, suspended: boolean) =>
      await vi.waitFor(async () => expect(await subscription()).toMatchObject({ status, suspended }), 20_000)
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString()
    const owe = async (days: number | null) => {
      const due = { issued_at: daysAgo(30), due_at: days === null ? null : daysAgo(days) }
      return (await record({ ...written(slug, `${strategy} due ${days}`), ...due })).body.id
    }
    const plan = strategy === 'rls' ? 'only' : strategy
    const choose = () => ask(owner, 'POST', `/t/${slug}/billing/plan`, { plan })
    expect((await choose()).body).toMatchObject({ status: 'active', change: null })
    await owe(null)
    await owe(-1)
    const recent = await owe(1)
    await installation.restart()
    await until('past_due', false)
    expect((await ask(admin, 'GET', `/t/${slug}/companies`)).status).toBe(200)
    const [old, wrong] = [await owe(20), await owe(25)]
    await settle(recent, 'paid')
    await until('unpaid', true)
    const closed = async () =>
      expect((await ask(admin, 'GET', `/t/${slug}/companies`)).body.code).toBe('TENANT_SUSPENDED')
    await vi.waitFor(closed, 20_000)
    // To choose is not to pay.
    expect((await choose()).body).toMatchObject({ suspended: true })
    await until('unpaid', true)
    await closed()
    await settle(wrong, 'void')
    await settle(old, 'paid')
    await until('active', false)
    expect((await ask(admin, 'GET', `/t/${slug}/companies`)).status).toBe(200)
    for (const other of strategies.filter((each) => each !== strategy))
      expect((await installation.tenancy.tenants.get(slugOf(other))).state).toBe('active')
  })

  it('are paid or void for good', async () => {
    const { body } = await record(written(slug, `${strategy} settled`, 5))
    const paid = await settle(body.id, 'paid')
    expect((await settle(body.id, 'paid')).body).toEqual(paid.body)
    expect(outcome(await settle(body.id, 'void'))).toEqual([409, 'INVOICE_SETTLED'])
    expect(outcome(await settle(operator.id, 'paid'))).toEqual([404, 'NOT_FOUND'])
  })
})

it('nobody but an operator who has signed in records an invoice, sees what operators see, or settles one', async () => {
  const slug = slugOf('rls')
  const { body } = await record(written(slug, 'theirs', 6))
  const { body: key } = await ask(operator, 'POST', '/auth/api-keys', { name: 'a script' })
  const asked = await ask(operator, 'POST', '/operator/impersonations', {
    organization: slug,
    user: owner.id,
    reason: 'Ticket 4711: an invoice is missing',
  })
  const begun = await ask(operator, 'POST', '/operator/impersonations/redeem', { token: asked.body.token })
  const bearer = (credential: unknown) => ({ headers: { authorization: `Bearer ${credential}` } })
  const callers: [string, Headed, [number, string]][] = [
    ['nobody', { headers: {} }, [401, 'UNAUTHENTICATED']],
    ['an admin by key', admin, [403, 'SESSION_REQUIRED']],
    ['an owner', owner, [403, 'OPERATOR_REQUIRED']],
    ["an operator's key", bearer(key.key), [403, 'SESSION_REQUIRED']],
    ['an operator who acts as the owner', bearer(begun.body.credential), [403, 'IMPERSONATION_REFUSED']],
  ]
  const before = await billing().selectFrom('invoice').selectAll().orderBy('id').execute()
  for (const [who, caller, refusal] of callers) {
    const answers = [
      await record(written(slug, 'forged', 6), caller),
      await settle(body.id, 'paid', caller),
      await ask(caller, 'GET', `/operator/invoices?organization=${slug}`),
    ]
    for (const answer of answers) expect(outcome(answer), who).toEqual(refusal)
  }
  expect(await billing().selectFrom('invoice').selectAll().orderBy('id').execute()).toEqual(before)
})

it('what cannot be an invoice is refused, and nothing recorded', async () => {
  const slug = slugOf('rls')
  const good = written(slug, 'wrong', 7)
  expect(outcome(await record({ ...good, organization: 'nowhere' }))).toEqual([404, 'TENANT_NOT_FOUND'])
  const wrong = [
    { amount: -1 },
    { amount: 0.5 },
    { currency: 'USD' },
    { number: '' },
    { period_ends_at: '2029-01-01T00:00:00Z' },
    { due_at: '2029-01-01T00:00:00Z' },
    { url: 'javascript:alert(1)' },
    { status: 'paid' },
  ]
  for (const change of wrong) {
    const answer = await record({ ...good, ...change })
    expect(outcome(answer), JSON.stringify(change)).toEqual([400, 'VALIDATION_FAILED'])
  }
  expect((await listed(slug)).text).not.toContain('wrong')
})

it('what operators do to invoices is written down, with the organization', async () => {
  const { id } = await installation.tenancy.tenants.get(slugOf('schema'))
  const { rows } = await sql`select action, outcome, code from platform.audit_log
    where tenant_id = ${id} and action like '%/operator/invoices%' order by at`.execute(billing())
  expect(rows).toEqual(
    expect.arrayContaining([
      { action: 'POST /operator/invoices', outcome: 'done', code: null },
      { action: 'POST /operator/invoices', outcome: 'refused', code: 'INVOICE_NUMBER_USED' },
      { action: 'PATCH /operator/invoices/:id', outcome: 'done', code: null },
    ]),
  )
})
