import type { Strategy } from '@quickscale/tenancy'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { problem } from '../src/api/index.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { fillTenants, ids } from './support/two-tenants.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const JSON_HEADERS = { 'content-type': 'application/json' }

let installation: TestInstallation

const call = (method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) =>
  send(installation.app, payload === undefined ? { method, url } : { method, url, payload })

describe.each(strategies)('what callers send, over the %s strategy', (strategy) => {
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), strategy)
    await fillTenants(installation.tenancy)
  })
  afterAll(() => installation.remove())

  describe('bad input', testBadInput)
  describe('hostile text', testHostileText)
})

const badRequests: readonly [what: string, status: number, request: InjectOptions][] = [
  ['an unknown route', 404, { url: '/t/one/nothing' }],
  ['an unknown method', 404, { method: 'PUT', url: '/t/one/contacts', payload: {} }],
  ['a path that cannot be decoded', 400, { url: '/t/one/contacts/%zz' }],
  ['an id that is no uuid', 400, { url: '/t/one/contacts/1' }],
  ['a limit of zero', 400, { url: '/t/one/contacts?limit=0' }],
  ['a huge limit', 400, { url: '/t/one/contacts?limit=1000000000000' }],
  ['a negative limit', 400, { url: '/t/one/contacts?limit=-1' }],
  ['an unknown order', 400, { url: '/t/one/contacts?order=sideways' }],
  ['a sort outside the list', 400, { url: '/t/one/contacts?sort=tenant_id' }],
  ['a repeated sort', 400, { url: '/t/one/contacts?sort=email&sort=last_name' }],
  ['an unknown parameter', 400, { url: '/t/one/contacts?filter=x' }],
  ['a NUL in the search', 400, { url: '/t/one/contacts?q=%00' }],
  ['no body', 400, { method: 'POST', url: '/t/one/companies', headers: JSON_HEADERS }],
  [
    'malformed JSON',
    400,
    { method: 'POST', url: '/t/one/companies', headers: JSON_HEADERS, payload: '{"name":' },
  ],
  [
    'JSON that is no object',
    400,
    { method: 'POST', url: '/t/one/companies', headers: JSON_HEADERS, payload: '[]' },
  ],
  [
    'a prototype in JSON',
    400,
    { method: 'POST', url: '/t/one/companies', headers: JSON_HEADERS, payload: '{"__proto__":{}}' },
  ],
  [
    'an unknown field',
    400,
    { method: 'POST', url: '/t/one/companies', payload: { name: 'x', tenant_id: ids.post } },
  ],
  ['a chosen id', 400, { method: 'POST', url: '/t/one/companies', payload: { name: 'x', id: ids.post } }],
  ['a blank name', 400, { method: 'POST', url: '/t/one/companies', payload: { name: '   ' } }],
  ['a long name', 400, { method: 'POST', url: '/t/one/companies', payload: { name: 'x'.repeat(201) } }],
  ['a NUL in a name', 400, { method: 'POST', url: '/t/one/companies', payload: { name: 'a\0b' } }],
  ['half a surrogate pair', 400, { method: 'POST', url: '/t/one/companies', payload: { name: '\ud800' } }],
  [
    'a website that runs code',
    400,
    { method: 'POST', url: '/t/one/companies', payload: { name: 'x', website: 'javascript:alert(1)' } },
  ],
  [
    'an amount as a number',
    400,
    { method: 'PATCH', url: `/t/one/deals/${ids.deal}`, payload: { amount: 1.5 } },
  ],
  [
    'an amount in exponents',
    400,
    { method: 'PATCH', url: `/t/one/deals/${ids.deal}`, payload: { amount: '1e5' } },
  ],
  ['a negative amount', 400, { method: 'PATCH', url: `/t/one/deals/${ids.deal}`, payload: { amount: '-1' } }],
  ['a change of nothing', 400, { method: 'PATCH', url: `/t/one/deals/${ids.deal}`, payload: {} }],
  [
    'a moment out of range',
    400,
    {
      method: 'PATCH',
      url: `/t/one/posts/${ids.post}`,
      payload: { published_date: '0000-01-01T00:00:00+14:00' },
    },
  ],
  [
    'plain text',
    415,
    {
      method: 'POST',
      url: '/t/one/companies',
      headers: { 'content-type': 'text/plain' },
      payload: '{"name":"x"}',
    },
  ],
  [
    'a form',
    415,
    {
      method: 'POST',
      url: '/t/one/companies',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'name=x',
    },
  ],
  [
    'too large a body',
    413,
    { method: 'POST', url: '/t/one/companies', payload: { name: 'x'.repeat(2 ** 20) } },
  ],
  ['too long a parameter', 414, { url: `/t/one/contacts/${'a'.repeat(200)}` }],
]

function testBadInput() {
  it.each(badRequests)('refuses %s with %i', async (_what, status, request) => {
    const answer = await send(installation.app, request)
    expect([answer.status, answer.body.status]).toEqual([status, status])
    expect(answer.type).toMatch(/^application\/problem\+json/)
    expect(problem.parse(answer.body)).toEqual(answer.body)
  })

  it('tells the path of everything that is wrong', async () => {
    const answer = await call('POST', '/t/one/contacts', {
      first_name: 'A',
      email: 'nowhere',
      company_id: 'x',
    })
    expect(answer.body).toMatchObject({ code: 'VALIDATION_FAILED' })
    expect(problem.parse(answer.body).errors?.map(({ path }) => path)).toEqual([
      '/last_name',
      '/email',
      '/company_id',
    ])
  })
}

function testHostileText() {
  it.each([
    "' or true --",
    "'; drop table contacts; --",
    '" or ""="',
    '%',
    '_',
    '\\',
    '%%%\\',
    '🚀',
    'ＵＮＩＯＮ select',
  ])('searches for %s as it is written', async (text) => {
    const created = await call('POST', '/t/one/companies', { name: `name ${text} end` })
    const { status, body } = await call('GET', `/t/one/companies?limit=100&q=${encodeURIComponent(text)}`)
    expect(status).toBe(200)
    const names = body.items?.map(({ name }) => String(name)) ?? []
    expect(names).toContain(`name ${text} end`)
    expect(names.filter((name) => !name.includes(text))).toEqual([])
    expect((await call('DELETE', `/t/one/companies/${created.body.id}`)).status).toBe(204)
  })

  it.each([
    'email; drop table contacts',
    "email'--",
    'email,(select 1)',
    '__proto__',
    'constructor',
    'contacts.email',
  ])('refuses to sort by %s', async (sort) => {
    expect((await call('GET', `/t/one/contacts?sort=${encodeURIComponent(sort)}`)).status).toBe(400)
  })
}
