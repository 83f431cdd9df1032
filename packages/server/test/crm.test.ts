import type { Strategy } from '@quickscale/tenancy'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { fillTenants, ids } from './support/two-tenants.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation

const call = (method: NonNullable<InjectOptions['method']>, url: string, payload?: object) =>
  send(installation.app, payload === undefined ? { method, url } : { method, url, payload })

const create = async (url: string, payload: object) => {
  const created = await call('POST', url, payload)
  expect(created.status, created.text).toBe(201)
  return created.body
}

const list = async (url: string) => {
  const answer = await call('GET', url)
  expect(answer.status, answer.text).toBe(200)
  return answer.body.items ?? []
}

const stagesOf = (slug: string) => list(`/t/${slug}/stages`)

describe.each(strategies)('the crm over the %s strategy', (strategy) => {
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), strategy)
    await fillTenants(installation.tenancy)
  })
  afterAll(() => installation.remove())

  describe('records', testRecords)
  describe('filters', testFilters)
  describe('stages', testStages)
  describe('many deals', testBulk)
  describe('the dashboard', testDashboard)
})

function testRecords() {
  it('count and name what belongs to them', async () => {
    const company = await create('/t/one/companies', { name: 'Counted', industry: 'Mining' })
    expect(company.contact_count).toBe(0)
    const values = {
      first_name: 'Eve',
      last_name: 'Counted',
      email: 'eve@one.example',
      phone: '+1 555 0100',
      title: 'CEO',
      status: 'in_discussion',
      company_id: company.id,
    }
    const contact = await create('/t/one/contacts', values)
    expect(contact).toMatchObject({
      ...values,
      full_name: 'Eve Counted',
      company_name: 'Counted',
      tag_names: [],
      deal_count: 0,
      last_contacted_at: null,
    })
    const [stage] = await stagesOf('one')
    const deal = await create('/t/one/deals', {
      title: 'Counted',
      amount: '10.5',
      probability: 30,
      expected_close_date: '2026-02-28',
      contact_id: contact.id,
      stage_id: stage?.id,
      owner_id: ids.member,
    })
    expect(deal).toMatchObject({
      amount: '10.50',
      probability: 30,
      expected_close_date: '2026-02-28',
      contact_name: 'Eve Counted',
      company_id: company.id,
      company_name: 'Counted',
      stage_name: 'Prospecting',
      owner: 'Ann of one',
      tag_names: [],
    })
    for (const name of ['b', 'a']) {
      const tag = await create('/t/one/tags', { name })
      for (const path of [`contacts/${contact.id}`, `deals/${deal.id}`])
        await call('PUT', `/t/one/${path}/tags/${tag.id}`)
    }
    expect((await call('GET', `/t/one/contacts/${contact.id}`)).body).toMatchObject({
      tag_names: ['a', 'b'],
      deal_count: 1,
    })
    expect((await call('GET', `/t/one/deals/${deal.id}`)).body.tag_names).toEqual(['a', 'b'])
    expect((await call('GET', `/t/one/companies/${company.id}`)).body.contact_count).toBe(1)
    expect((await stagesOf('one'))[0]?.deal_count).toBe(2)
    expect((await stagesOf('two'))[0]?.deal_count).toBe(1)
  })

  it('say when they were changed', async () => {
    const created = await create('/t/one/companies', { name: 'Changed' })
    const changed = (await call('PATCH', `/t/one/companies/${created.id}`, { name: 'Changed again' })).body
    expect(changed.created_at).toBe(created.created_at)
    expect(Date.parse(String(changed.updated_at))).toBeGreaterThan(Date.parse(String(created.updated_at)))
  })

  it.each([
    ['contacts', { status: 'married' }],
    ['contacts', { last_contacted_at: '2026-01-01T00:00:00Z' }],
    ['contacts', { tenant_id: ids.contact }],
    ['deals', { probability: 101 }],
    ['deals', { probability: -1 }],
    ['deals', { probability: 0.5 }],
    ['deals', { expected_close_date: '0000-01-01' }],
    ['deals', { expected_close_date: '2026-02-30' }],
    ['deals', { company_id: ids.company }],
  ])('of %s refuse %j', async (name, change) => {
    const id = name === 'deals' ? ids.deal : ids.contact
    expect((await call('PATCH', `/t/one/${name}/${id}`, change)).status).toBe(400)
  })

  it('need an owner or author when the caller is no member', async () => {
    const [stage] = await stagesOf('one')
    const deal = await call('POST', '/t/one/deals', {
      title: 'x',
      contact_id: ids.contact,
      stage_id: stage?.id,
    })
    const note = await call('POST', `/t/one/contacts/${ids.contact}/notes`, { body: 'x' })
    expect([deal.status, deal.body.errors]).toMatchObject([400, [{ path: '/owner_id' }]])
    expect([note.status, note.body.errors]).toMatchObject([400, [{ path: '/author_id' }]])
  })
}

function testFilters() {
  it('narrow every list, together with search, order and cursor', async () => {
    const company = await create('/t/one/companies', { name: 'Filtered', industry: 'Fishing' })
    const tags = [await create('/t/one/tags', { name: 'x' }), await create('/t/one/tags', { name: 'y' })]
    const contacts = []
    for (const [index, status] of ['inactive', 'inactive', 'contacted'].entries()) {
      const contact = await create('/t/one/contacts', {
        first_name: `F${index}`,
        last_name: 'Filtered',
        email: `f${index}@one.example`,
        company_id: company.id,
        status,
      })
      contacts.push(contact)
      for (const tag of tags.slice(0, index))
        await call('PUT', `/t/one/contacts/${contact.id}/tags/${tag.id}`)
    }
    const names = async (url: string) =>
      (await list(`/t/one/${url}`)).map(({ first_name, name, title }) => first_name ?? name ?? title)
    const [x, y] = tags.map(({ id }) => id)
    expect(await names('companies?industry=Fishing')).toEqual(['Filtered'])
    expect(await names('contacts?status=inactive&sort=first_name')).toEqual(['F0', 'F1'])
    expect(await names(`contacts?company_id=${company.id}&sort=first_name`)).toEqual(['F0', 'F1', 'F2'])
    expect(await names(`contacts?tags=${x}&sort=first_name`)).toEqual(['F1', 'F2'])
    expect(await names(`contacts?tags=${x},${y}&q=filtered`)).toEqual(['F2'])
    expect(await names(`contacts?tags=${x}&status=new`)).toEqual([])
    const page = (await call('GET', `/t/one/contacts?tags=${x}&sort=first_name&limit=1`)).body
    expect(await names(`contacts?tags=${x}&sort=first_name&limit=1&cursor=${page.next}`)).toEqual(['F2'])
    const other = await call('GET', `/t/one/contacts?sort=first_name&limit=1&cursor=${page.next}`)
    expect(other.body.code).toBe('CURSOR_INVALID')

    const [first, second] = await stagesOf('one')
    const deal = { title: 'Filtered', contact_id: contacts[0]?.id, owner_id: ids.member }
    const { id } = await create('/t/one/deals', { ...deal, stage_id: second?.id })
    await call('PUT', `/t/one/deals/${id}/tags/${y}`)
    expect(await names(`deals?stage_id=${second?.id}`)).toEqual(['Filtered'])
    expect(await names(`deals?stage_id=${first?.id}`)).not.toContain('Filtered')
    expect(await names(`deals?company_id=${company.id}`)).toEqual(['Filtered'])
    expect(await names(`deals?tags=${y}`)).toEqual(['Filtered'])
    expect(await names(`deals?owner_id=${ids.member}&q=filtered`)).toEqual(['Filtered'])
  })

  it('by records of another tenant are answered like those by none', async () => {
    const company = await create('/t/two/companies', { name: 'Only in two' })
    const tag = await create('/t/two/tags', { name: 'Only in two' })
    const [stage] = await stagesOf('two')
    for (const url of [
      `contacts?company_id=${company.id}`,
      `contacts?tags=${tag.id}`,
      `deals?company_id=${company.id}`,
      `deals?stage_id=${stage?.id}`,
      `deals?tags=${tag.id}`,
      `deals?owner_id=${company.id}`,
    ]) {
      const answer = await call('GET', `/t/one/${url}`)
      expect([url, answer.status, answer.body.code]).toEqual([url, 404, 'NOT_FOUND'])
    }
    for (const url of [
      'contacts?tags=',
      'contacts?tags=x',
      `contacts?tags=${ids.deal},`,
      'contacts?status=x',
    ])
      expect((await call('GET', `/t/one/${url}`)).status).toBe(400)
  })
}

function testStages() {
  it('are made, changed and deleted, each name, position and outcome once', async () => {
    const made = await create('/t/one/stages', { name: 'Contract' })
    expect(made).toMatchObject({ name: 'Contract', position: 5, outcome: null, deal_count: 0 })
    const url = `/t/one/stages/${made.id}`
    expect((await call('GET', url.replace('one', 'two'))).status).toBe(404)
    for (const [change, path] of [
      [{ name: 'Closed-Won' }, '/name'],
      [{ position: 1 }, '/position'],
      [{ outcome: 'won' }, '/outcome'],
    ] as const) {
      const answer = await call('PATCH', url, change)
      expect([answer.status, answer.body.errors]).toMatchObject([409, [{ path }]])
    }
    expect((await call('PATCH', url, { name: 'Signed' })).body).toEqual({ ...made, name: 'Signed' })
    expect((await call('DELETE', url)).status).toBe(204)
    const [used] = await stagesOf('one')
    const inUse = await call('DELETE', `/t/one/stages/${used?.id}`)
    expect([inUse.status, inUse.body.code]).toEqual([409, 'IN_USE'])
  })

  it('are put in another order all at once', async () => {
    const before = await stagesOf('one')
    const stage_ids = before.map(({ id }) => id).reverse()
    const { body } = await call('PUT', '/t/one/stages/order', { stage_ids })
    expect(body.items?.map(({ id }) => id)).toEqual(stage_ids)
    expect((await stagesOf('one')).map(({ position }) => position)).toEqual([1, 2, 3, 4])
    const [foreign] = await stagesOf('two')
    for (const wrong of [
      stage_ids.slice(1),
      [...stage_ids, ids.deal],
      [...stage_ids.slice(1), stage_ids[1]],
      [...stage_ids.slice(1), foreign?.id],
    ]) {
      const answer = await call('PUT', '/t/one/stages/order', { stage_ids: wrong })
      expect([answer.status, answer.body.code]).toEqual([422, 'RULE_VIOLATED'])
    }
    expect((await stagesOf('one')).map(({ id }) => id)).toEqual(stage_ids)
  })
}

async function makeDeals(slug: string, amounts: readonly (string | null)[]) {
  const [stage] = await stagesOf(slug)
  const deal = { title: 'Many', contact_id: ids.contact, stage_id: stage?.id, owner_id: ids.member }
  const made = []
  for (const amount of amounts) made.push((await create(`/t/${slug}/deals`, { ...deal, amount })).id)
  return made
}

const read = async (slug: string, deals: readonly unknown[]) => {
  const answers = []
  for (const id of deals) answers.push((await call('GET', `/t/${slug}/deals/${id}`)).body)
  return answers.map(({ stage_name, probability }) => [stage_name, probability])
}

function testBulk() {
  it('go to a stage, are marked won and marked lost, all at once', async () => {
    const deal_ids = await makeDeals('one', ['1', '2'])
    const stages = await stagesOf('one')
    const stage = stages.find(({ name }) => name === 'Negotiation')
    const moved = await call('POST', '/t/one/deals/bulk/stage', { deal_ids, stage_id: stage?.id })
    expect(moved.body).toEqual({ updated: 2, stage_id: stage?.id })
    expect(await read('one', deal_ids)).toEqual([
      ['Negotiation', 50],
      ['Negotiation', 50],
    ])
    expect((await call('POST', '/t/one/deals/bulk/won', { deal_ids })).body.updated).toBe(2)
    expect(await read('one', deal_ids)).toEqual([
      ['Closed-Won', 100],
      ['Closed-Won', 100],
    ])
    await call('POST', '/t/one/deals/bulk/lost', { deal_ids: deal_ids.slice(1) })
    expect(await read('one', deal_ids)).toEqual([
      ['Closed-Won', 100],
      ['Closed-Lost', 0],
    ])
  })

  it('stay in their stage when none has the outcome', async () => {
    const won = (await stagesOf('two')).find(({ outcome }) => outcome === 'won')
    await call('PATCH', `/t/two/stages/${won?.id}`, { outcome: null })
    const deal_ids = await makeDeals('two', ['1'])
    expect((await call('POST', '/t/two/deals/bulk/won', { deal_ids })).body).toEqual({
      updated: 1,
      stage_id: null,
    })
    expect(await read('two', deal_ids)).toEqual([['Prospecting', 100]])
  })

  it('are all left alone when one of them is of another tenant, or the stage is', async () => {
    const own = await makeDeals('one', ['1'])
    const foreign = await makeDeals('two', ['1'])
    const [stage] = await stagesOf('one')
    const [foreignStage] = await stagesOf('two')
    const deal_ids = [...own, ...foreign]
    for (const [path, payload, status] of [
      ['stage', { deal_ids, stage_id: stage?.id }, 404],
      ['won', { deal_ids }, 404],
      ['lost', { deal_ids }, 404],
      ['stage', { deal_ids: own, stage_id: foreignStage?.id }, 422],
      ['won', { deal_ids: [] }, 400],
      ['won', { deal_ids: [own[0], own[0]] }, 400],
      ['lost', { deal_ids: own, stage_id: stage?.id }, 400],
    ] as const) {
      expect((await call('POST', `/t/one/deals/bulk/${path}`, payload)).status, path).toBe(status)
    }
    expect(await read('one', own)).toEqual([[stage?.name, 50]])
    expect(await read('two', foreign)).toEqual([['Prospecting', 50]])
  })
}

function testDashboard() {
  it('shows totals, stages, values and what is new, of this tenant only', async () => {
    await installation.tenancy.tenants.create({ slug: 'figures', name: 'Figures', plan: 'only' })
    const empty = await call('GET', '/t/figures/crm/dashboard')
    expect(empty.body).toMatchObject({ total_deals: 0, pipeline_value: '0', recent_deals: [] })
    await installation.tenancy.members.put('figures', { userId: ids.member, name: 'Ann', role: 'owner' })
    await installation.tenancy.members.deliver()
    const company = await create('/t/figures/companies', { name: 'C' })
    const person = { first_name: 'A', last_name: 'B', email: 'a@b.example', company_id: company.id }
    const contact = await create('/t/figures/contacts', person)
    const [stage] = await stagesOf('figures')
    const deal = { title: 'D', contact_id: contact.id, stage_id: stage?.id, owner_id: ids.member }
    const made = []
    for (const values of [
      { amount: '999999999999.99', probability: 50 },
      { amount: '999999999999.99', probability: 10 },
      { amount: null },
      { amount: '7' },
      { amount: '9' },
      { amount: '1' },
    ]) {
      made.push((await create('/t/figures/deals', { ...deal, ...values })).id)
    }
    await call('POST', '/t/figures/deals/bulk/won', { deal_ids: made.slice(3, 5) })
    await call('POST', '/t/figures/deals/bulk/lost', { deal_ids: made.slice(5) })
    const { status, body } = await call('GET', '/t/figures/crm/dashboard')
    expect([status, body]).toMatchObject([
      200,
      {
        total_companies: 1,
        total_contacts: 1,
        total_deals: 6,
        pipeline_value: '1999999999999.98',
        weighted_value: '599999999999.99',
        won_value: '16.00',
        deals_by_stage: [
          { name: 'Prospecting', deal_count: 3, value: '1999999999999.98', outcome: null },
          { name: 'Negotiation', deal_count: 0, value: '0' },
          { name: 'Closed-Won', deal_count: 2, value: '16.00', outcome: 'won' },
          { name: 'Closed-Lost', deal_count: 1, value: '1.00', outcome: 'lost' },
        ],
        recent_contacts: [{ id: contact.id, deal_count: 6 }],
      },
    ])
    expect(Object(body.recent_deals).map(({ id }: { id: string }) => id)).toEqual(made.slice(1).reverse())
  })
}
