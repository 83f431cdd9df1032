import { get, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import type { Strategy } from '@quickscale/tenancy'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { fillTenants, ids } from './support/two-tenants.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation

const request = (options: InjectOptions) => send(installation.app, options)

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

const call = (method: Method, url: string, payload?: object) =>
  request(payload === undefined ? { method, url } : { method, url, payload })

/** A company that only tenant `two` has. */
async function companyOfTwo(): Promise<string> {
  const created = await call('POST', '/t/two/companies', { name: 'Only in two' })
  return String(created.body.id)
}

describe.each(strategies)('the HTTP API over the %s strategy', (strategy) => {
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), strategy)
    await fillTenants(installation.tenancy)
  })
  afterAll(() => installation.remove())

  describe('records', testRecords)
  describe('between two tenants', testForeignTenants)
  describe('resolution', testResolution)
  describe('constraints', testConstraints)
  describe('a repeated request', testIdempotency)
  describe('entity tags', testEntityTags)
  describe('a listening socket', testSocket)
})

function testRecords() {
  it('creates, reads, changes and deletes a contact', async () => {
    const values = {
      first_name: 'Zoë',
      last_name: 'Ŝtrånge 株式会社 🚀',
      email: 'zoe@one.example',
      company_id: ids.company,
    }
    const created = await call('POST', '/t/one/contacts', values)
    expect(created.status).toBe(201)
    expect(created.body).toMatchObject({ ...values, company_name: 'Company of one' })
    expect(created.headers.location).toBe(`/t/one/contacts/${created.body.id}`)
    const url = String(created.headers.location)
    expect((await call('GET', url)).body).toEqual(created.body)
    const changed = await call('PATCH', url, { last_name: 'Plain' })
    expect(changed.body).toEqual({
      ...created.body,
      last_name: 'Plain',
      full_name: 'Zoë Plain',
      updated_at: expect.any(String),
    })
    const deleted = await call('DELETE', url)
    expect([deleted.status, deleted.text]).toEqual([204, ''])
    expect((await call('GET', url)).status).toBe(404)
    expect((await call('DELETE', url)).status).toBe(404)
  })

  it('keeps amounts exact and moments as instants', async () => {
    const created = await call('POST', '/t/one/posts', {
      title: 'Instant',
      slug: 'instant',
      content: 'x',
      author_id: ids.member,
      published_date: '2025-03-01T12:00:00.123+02:00',
    })
    expect(created.body.published_date).toBe('2025-03-01T10:00:00.123Z')
    const patched = await call('PATCH', `/t/one/deals/${ids.deal}`, { amount: '900719925474.09' })
    expect(patched.body.amount).toBe('900719925474.09')
    const cleared = await call('PATCH', `/t/one/deals/${ids.deal}`, { amount: null })
    expect(cleared.body.amount).toBeNull()
  })

  it('lists the four stages in their order', async () => {
    const { body } = await call('GET', '/t/one/stages')
    expect(body.items?.map(({ name }) => name)).toEqual([
      'Prospecting',
      'Negotiation',
      'Closed-Won',
      'Closed-Lost',
    ])
    expect(body.items?.map(({ outcome }) => outcome)).toEqual([null, null, 'won', 'lost'])
  })

  it('searches without regard to case', async () => {
    const { body } = await call('GET', '/t/one/contacts?q=SAME%20ONE')
    expect(body.items?.map(({ email }) => email)).toEqual(['same@one.example'])
  })
}

function testForeignTenants() {
  it.each(['companies', 'contacts', 'deals', 'posts'])(
    'shows each its own %s under the same id',
    async (name) => {
      const id = { companies: ids.company, contacts: ids.contact, deals: ids.deal, posts: ids.post }[name]
      for (const slug of ['one', 'two']) {
        const other = slug === 'one' ? 'two' : 'one'
        for (const answer of [
          await call('GET', `/t/${slug}/${name}/${id}`),
          await call('GET', `/t/${slug}/${name}`),
        ]) {
          expect(answer.status).toBe(200)
          expect(answer.text).toContain(slug)
          expect(answer.text).not.toMatch(new RegExp(`of ${other}|@${other}\\.example|"${other}"`))
        }
      }
    },
  )

  it('does not find, change or delete what only the other tenant has', async () => {
    const url = `/t/one/companies/${await companyOfTwo()}`
    expect((await call('GET', url)).status).toBe(404)
    expect((await call('PATCH', url, { name: 'Taken over' })).status).toBe(404)
    expect((await call('DELETE', url)).status).toBe(404)
    expect((await call('GET', url.replace('one', 'two'))).body.name).toBe('Only in two')
  })

  it('refuses a reference to what only the other tenant has, naming the field', async () => {
    const company_id = await companyOfTwo()
    const values = { first_name: 'A', last_name: 'B', email: 'a@one.example', company_id }
    const created = await call('POST', '/t/one/contacts', values)
    const changed = await call('PATCH', `/t/one/contacts/${ids.contact}`, { company_id })
    for (const answer of [created, changed]) {
      expect(answer.status).toBe(422)
      expect(answer.body).toMatchObject({
        code: 'REFERENCE_UNKNOWN',
        errors: [{ in: 'body', path: '/company_id' }],
      })
      expect(answer.text).not.toContain('two')
    }
  })

  it('changes and deletes only its own row of the same id', async () => {
    await call('PATCH', `/t/one/posts/${ids.post}`, { title: 'Changed in one' })
    expect((await call('GET', `/t/two/posts/${ids.post}`)).body.title).toBe('Post of two')
    const both = { title: 'Both', slug: 'both', content: 'x', author_id: ids.member }
    const [one, two] = [await call('POST', '/t/one/posts', both), await call('POST', '/t/two/posts', both)]
    expect([one.status, two.status]).toEqual([201, 201])
    await call('DELETE', `/t/one/posts/${one.body.id}`)
    expect((await call('GET', `/t/two/posts/${two.body.id}`)).status).toBe(200)
  })

  it('finds nothing of the other tenant by search', async () => {
    const { body } = await call('GET', '/t/one/companies?q=two')
    expect(body.items).toEqual([])
  })
}

function testResolution() {
  it('takes the tenant from the host name as well', async () => {
    const byHost = await request({
      url: `/companies/${ids.company}`,
      headers: { host: 'Two.LocalHost:3000' },
    })
    expect(byHost.body.name).toBe('Company of two')
  })

  it('accepts path and host name that agree', async () => {
    const answer = await request({
      url: `/t/two/companies/${ids.company}`,
      headers: { host: 'two.localhost' },
    })
    expect(answer.body.name).toBe('Company of two')
  })

  it.each([
    '/t/one/companies',
    '/%74/one/companies',
    '/t/%6fne/companies',
    '/t//companies',
    'http://localhost/t/one/companies',
  ])('refuses %s on the host name of another tenant', async (url) => {
    const reply = await installation.app.inject({ url: '/livez', headers: { host: 'two.localhost' } })
    expect(reply.statusCode).toBe(200)
    const answer = await request({ url, headers: { host: 'two.localhost' } })
    expect([answer.status, answer.body.code]).toEqual([400, 'TENANT_AMBIGUOUS'])
  })

  it('answers 404 for a tenant that does not exist, whatever is asked of it', async () => {
    for (const url of [
      '/t/nobody/contacts',
      `/t/nobody/contacts/${ids.contact}`,
      `/t/${ids.contact}/stages`,
    ]) {
      const answer = await call('GET', url)
      expect([answer.status, answer.body.code]).toEqual([404, 'TENANT_NOT_FOUND'])
    }
    expect((await call('POST', '/t/nobody/companies', { name: 'x' })).status).toBe(404)
  })

  it('refuses a request that names no tenant, or one that cannot be', async () => {
    expect((await call('GET', '/contacts')).body.code).toBe('TENANT_MISSING')
    expect((await call('GET', '/t/NOT%20A%20SLUG/contacts')).body.code).toBe('TENANT_KEY_INVALID')
  })

  it('is ready', async () => {
    expect((await call('GET', '/readyz')).body).toEqual({ status: 'ok' })
  })
}

function testConstraints() {
  it('lets two tenants use one slug, and one tenant only once', async () => {
    const post = { title: 'Twice', slug: 'twice', content: 'x', author_id: ids.member }
    expect((await call('POST', '/t/one/posts', post)).status).toBe(201)
    expect((await call('POST', '/t/two/posts', post)).status).toBe(201)
    const again = await call('POST', '/t/one/posts', post)
    expect(again.status).toBe(409)
    expect(again.type).toMatch(/^application\/problem\+json/)
    expect(again.body).toMatchObject({ code: 'CONFLICT', errors: [{ in: 'body', path: '/slug' }] })
    expect(again.text).not.toMatch(/tenant_id|posts_slug_key|Key \(/)
  })

  it('names the field whose rule the database enforces', async () => {
    const draft = {
      title: 'Empty',
      slug: 'empty',
      author_id: ids.member,
      published_date: '2025-01-01T00:00:00Z',
    }
    const answer = await call('POST', '/t/one/posts', draft)
    expect([answer.status, answer.body.code]).toEqual([422, 'RULE_VIOLATED'])
    expect(answer.body.errors).toMatchObject([{ path: '/content' }])
  })

  it('refuses to delete what others refer to, and deletes contacts with their company', async () => {
    const inUse = await call('DELETE', `/t/one/contacts/${ids.contact}`)
    expect([inUse.status, inUse.body.code]).toEqual([409, 'IN_USE'])
    const company = await call('POST', '/t/one/companies', { name: 'Short-lived' })
    const values = { first_name: 'A', last_name: 'B', email: 'ab@one.example', company_id: company.body.id }
    const contact = await call('POST', '/t/one/contacts', values)
    expect((await call('DELETE', `/t/one/companies/${company.body.id}`)).status).toBe(204)
    expect((await call('GET', `/t/one/contacts/${contact.body.id}`)).status).toBe(404)
  })
}

function testIdempotency() {
  const post = (key: string, payload: object, slug = 'one') =>
    request({ method: 'POST', url: `/t/${slug}/companies`, headers: { 'idempotency-key': key }, payload })
  const count = async (name: string) => (await call('GET', `/t/one/companies?q=${name}`)).body.items?.length

  it('is answered like the first time, and not done again', async () => {
    const first = await post('k1', { name: 'Once' })
    const again = await request({
      method: 'POST',
      url: '/companies',
      headers: { host: 'one.localhost', 'idempotency-key': 'k1' },
      payload: { name: 'Once' },
    })
    expect([again.status, again.text]).toEqual([201, first.text])
    expect(again.headers).toMatchObject({
      location: first.headers.location,
      'idempotency-replayed': 'true',
    })
    expect(await count('Once')).toBe(1)
  })

  it('is done once when it comes many times at the same moment', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => post('k2', { name: 'Together' })))
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === 'true')).toHaveLength(5)
    expect(await count('Together')).toBe(1)
  })

  it('is refused when it is another request', async () => {
    await post('k3', { name: 'Original' })
    const other = await post('k3', { name: 'Another' })
    expect([other.status, other.body.code]).toEqual([422, 'IDEMPOTENCY_KEY_REUSED'])
    expect(await count('Another')).toBe(0)
  })

  it('may be repeated after a refusal, which has kept nothing', async () => {
    const refused = await post('k4', { name: '' })
    const taken = await request({
      method: 'POST',
      url: '/t/one/contacts',
      headers: { 'idempotency-key': 'k4' },
      payload: { first_name: 'A', last_name: 'B', email: 'k4@one.example', company_id: ids.deal },
    })
    expect([refused.status, taken.status]).toEqual([400, 422])
    expect((await post('k4', { name: 'Accepted' })).status).toBe(201)
  })

  it('of another tenant is another one', async () => {
    await post('k5', { name: 'Of one' })
    const other = await post('k5', { name: 'Of one' }, 'two')
    expect([other.status, other.headers['idempotency-replayed']]).toEqual([201, undefined])
  })

  it('needs a usable key', async () => {
    for (const key of ['', 'a b', 'x'.repeat(256)]) {
      expect((await post(key, { name: 'x' })).body.code).toBe('IDEMPOTENCY_KEY_INVALID')
    }
  })
}

function testEntityTags() {
  it('spares an answer that the caller has already', async () => {
    const url = `/t/one/companies/${ids.company}`
    const { headers } = await call('GET', url)
    const again = await request({ url, headers: { 'if-none-match': `"x", W/${headers.etag}` } })
    expect([again.status, again.text, again.headers.etag]).toEqual([304, '', headers.etag])
    const elsewhere = await request({
      url: url.replace('one', 'two'),
      headers: { 'if-none-match': String(headers.etag) },
    })
    expect(elsewhere.status).toBe(200)
  })

  it('let one of two changes through that both saw the same record', async () => {
    const created = await call('POST', '/t/one/companies', { name: 'Contested' })
    const url = String(created.headers.location)
    const tag = String((await call('GET', url)).headers.etag)
    const change = (name: string) =>
      request({ method: 'PATCH', url, headers: { 'if-match': tag }, payload: { name } })
    const answers = await Promise.all([change('First'), change('Second')])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412])
    const stale = await request({ method: 'DELETE', url, headers: { 'if-match': tag } })
    expect([stale.status, stale.body.code]).toEqual([412, 'PRECONDITION_FAILED'])
    const fresh = String((await call('GET', url)).headers.etag)
    expect((await request({ method: 'DELETE', url, headers: { 'if-match': fresh } })).status).toBe(204)
  })
}

function testSocket() {
  it('answers over a real connection, by path and by Host header', async () => {
    const origin = await installation.app.listen({ host: '127.0.0.1', port: 0 })
    const byPath = await fetch(`${origin}/t/one/companies/${ids.company}`)
    expect(byPath.status).toBe(200)
    expect(await byPath.json()).toMatchObject({ name: 'Company of one' })
    // fetch() does not let a caller set Host.
    const reply = await new Promise<IncomingMessage>((done, failed) => {
      get(`${origin}/companies/${ids.company}`, { headers: { host: 'two.localhost' } }, done).on(
        'error',
        failed,
      )
    })
    expect(await json(reply)).toMatchObject({ name: 'Company of two' })
  })
}
