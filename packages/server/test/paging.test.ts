import type { Strategy } from '@quickscale/tenancy'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { installApplication, type TestInstallation } from './support/installation.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

interface Listing {
  readonly status: number
  readonly items: Readonly<Record<string, unknown>>[]
  readonly next: string | null
  readonly code?: string
}

let installation: TestInstallation

async function list(path: string, query: Readonly<Record<string, string>>): Promise<Listing> {
  const reply = await installation.app.inject({ url: path, query })
  return { status: reply.statusCode, ...reply.json<Omit<Listing, 'status'>>() }
}

/** Every row of a list, page by page. */
async function walk(path: string, query: Readonly<Record<string, string>>): Promise<Listing['items']> {
  const rows: Listing['items'] = []
  let cursor: string | null = null
  for (let page = 0; page < 100; page += 1) {
    const listing: Listing = await list(path, cursor === null ? query : { ...query, cursor })
    expect(listing.status).toBe(200)
    rows.push(...listing.items)
    cursor = listing.next
    if (cursor === null) return rows
  }
  throw new Error('the pages do not end')
}

/** Ties in every column, moments a microsecond apart, amounts of different lengths, and nulls. */
async function fillTenant(slug: string): Promise<void> {
  const tenant = installation.tenancy.tenant(slug)
  await tenant.query(`
    insert into companies (name, industry, created_at)
    select 'name ' || n % 4, case when n % 3 > 0 then 'industry ' || n % 2 end,
           timestamptz '2025-01-01 00:00:00Z' + (n % 5) * interval '1 microsecond'
      from generate_series(1, 30) as n`)
  await tenant.query(`
    insert into contacts (first_name, last_name, email, company_id)
    select 'first', 'last', 'person@one.example', id from companies order by id limit 1`)
  await tenant.query(`
    insert into deals (title, amount, contact_id, stage_id)
    select 'title', case when n % 3 > 0 then (array[9, 10, 100.5, 100.25, 0])[n % 5 + 1] end, contacts.id, stages.id
      from generate_series(1, 30) as n, contacts, stages where stages.position = 1`)
  await tenant.query(`
    insert into posts (title, slug, content, published_date)
    select 'title ' || n % 2, 'slug-' || n, 'x',
           case when n % 2 > 0 then timestamptz '2025-01-01 00:00:00Z' + (n % 3) * interval '1 microsecond' end
      from generate_series(1, 30) as n`)
}

const walks = [
  ['companies', 'name'],
  ['companies', 'created_at'],
  ['companies', 'industry'],
  ['deals', 'created_at'],
  ['deals', 'amount'],
  ['deals', 'title'],
  ['posts', 'published_date'],
  ['posts', 'created_at'],
  ['posts', 'title'],
] as const

describe.each(strategies)('pages over the %s strategy', (strategy) => {
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), strategy)
    await fillTenant('one')
    await fillTenant('two')
  })
  afterAll(() => installation.remove())

  describe('walks', testWalks)
  describe('cursors', testCursors)
})

function testWalks() {
  const cases = walks.flatMap(([name, sort]) =>
    (['asc', 'desc'] as const).map((order) => [name, sort, order] as const),
  )

  it.each(cases)('reads every row of %s by %s %s exactly once and in order', async (name, sort, order) => {
    const { rows } = await installation.tenancy
      .tenant('one')
      .query(`select id from ${name} order by ${sort} ${order} nulls last, id ${order}`)
    const expected = rows.map(({ id }) => id)
    expect(expected).toHaveLength(30)
    for (const limit of ['1', '7', '30', '100']) {
      const walked = await walk(`/t/one/${name}`, { sort, order, limit })
      expect(walked.map(({ id }) => id)).toEqual(expected)
    }
  })

  it('orders amounts as numbers and leaves what has none to the end', async () => {
    const rising = (await walk('/t/one/deals', { sort: 'amount', order: 'asc', limit: '4' })).map(
      ({ amount }) => amount,
    )
    expect([...new Set(rising)]).toEqual(['0.00', '9.00', '10.00', '100.25', '100.50', null])
    const falling = (await walk('/t/one/deals', { sort: 'amount', limit: '4' })).map(({ amount }) => amount)
    expect([...new Set(falling)]).toEqual(['100.50', '100.25', '10.00', '9.00', '0.00', null])
  })

  it('keeps the search while it walks', async () => {
    const rows = await walk('/t/one/companies', { q: 'name 1', limit: '3' })
    expect(rows).toHaveLength(8)
    expect(new Set(rows.map(({ name }) => name))).toEqual(new Set(['name 1']))
  })

  it('shows 20 rows when no limit is given', async () => {
    expect((await list('/t/one/deals', {})).items).toHaveLength(20)
  })
}

function testCursors() {
  const query = { sort: 'name', order: 'asc', limit: '5' }
  const cursorOf = async (path: string, of: Readonly<Record<string, string>>) =>
    String((await list(path, of)).next)

  it.each([
    ['of another tenant', '/t/two/companies', query],
    ['of another list', '/t/one/posts', { sort: 'title', order: 'asc', limit: '5' }],
    ['of another sort', '/t/one/companies', { ...query, sort: 'created_at' }],
    ['of another order', '/t/one/companies', { ...query, order: 'desc' }],
    ['of another search', '/t/one/companies', { ...query, q: 'name' }],
  ])('refuses a cursor %s', async (_what, path, of) => {
    const answer = await list('/t/one/companies', { ...query, cursor: await cursorOf(path, of) })
    expect([answer.status, answer.code]).toEqual([400, 'CURSOR_INVALID'])
  })

  it('accepts its own cursor with another limit', async () => {
    const cursor = await cursorOf('/t/one/companies', query)
    expect((await list('/t/one/companies', { ...query, limit: '9', cursor })).items).toHaveLength(9)
  })

  it('refuses a cursor with any character changed, added or removed', async () => {
    const cursor = await cursorOf('/t/one/companies', query)
    const forged = [...cursor].map(
      (char, index) => cursor.slice(0, index) + (char === 'A' ? 'B' : 'A') + cursor.slice(index + 1),
    )
    for (const candidate of [...forged, `${cursor}A`, `${cursor}=`, cursor.slice(0, -1), 'x', "' or 1=1"]) {
      const answer = await list('/t/one/companies', { ...query, cursor: candidate })
      expect([answer.status, answer.code]).toEqual([400, 'CURSOR_INVALID'])
    }
  })
}
