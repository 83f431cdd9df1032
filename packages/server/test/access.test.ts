import type { Strategy } from '@quickscale/tenancy'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { limits } from '../src/limits.ts'
import { type Answer, send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { fillPath, makeBody, type Operation, readOperations, takesIds } from './support/operations.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'

// Every attack is made of the document: a route that is added is attacked without anybody thinking of it.

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const MARK = 'only-the-victim-has-this'
const roles = ['viewer', 'member', 'admin', 'owner']

let installation: TestInstallation
let operations: readonly Operation[]
let owner: TestPerson
let viewer: TestPerson
let stranger: TestPerson
/** Ids of records that only the victim has, by strategy. */
const foreignIds: Record<string, readonly string[]> = {}
const victimOf = (strategy: Strategy) => `victim-${strategy}`

const ask = (options: InjectOptions): Promise<Answer> => send(installation.app, options)

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true })
  const { tenancy, app } = installation
  await app.ready()
  operations = readOperations(app)
  ;[owner, viewer, stranger] = [
    await makePerson(tenancy, 'Owner'),
    await makePerson(tenancy, 'Viewer'),
    await makePerson(tenancy, 'Stranger'),
  ]
  await tenancy.tenants.create({ slug: 'attacker', name: 'attacker', plan: 'rls' })
  await join(tenancy, 'attacker', stranger, 'owner')
  for (const strategy of strategies) {
    const slug = victimOf(strategy)
    await tenancy.tenants.create({ slug, name: slug, plan: strategy })
    await join(tenancy, slug, owner, 'owner')
    await join(tenancy, slug, viewer, 'viewer')
    await tenancy.members.deliver()
    foreignIds[strategy] = await fillVictim(slug)
  }
})
afterAll(() => installation.remove())

/** One record of every kind, made through the API; each says whose it is. */
async function fillVictim(slug: string): Promise<string[]> {
  const make = async (name: string, payload: object) => {
    const answer = await ask({ method: 'POST', url: `/t/${slug}/${name}`, headers: owner.headers, payload })
    expect(answer.status, `${name}: ${answer.text}`).toBe(201)
    return String(answer.body.id)
  }
  const company_id = await make('companies', { name: MARK })
  await make('companies', { name: `${MARK} 2` })
  const contact = { first_name: MARK, last_name: MARK, email: `${MARK}@example.test`, company_id }
  const contact_id = await make('contacts', contact)
  const { body } = await ask({ url: `/t/${slug}/stages`, headers: owner.headers })
  const stage_id = String(body.items?.[0]?.id)
  const deal_id = await make('deals', { title: MARK, contact_id, stage_id, owner_id: owner.id })
  const post_id = await make('posts', { title: MARK, slug: MARK, content: MARK, author_id: owner.id })
  const tag_id = await make('tags', { name: MARK })
  const note_id = await make(`contacts/${contact_id}/notes`, { body: MARK })
  return [company_id, contact_id, stage_id, deal_id, post_id, tag_id, note_id, owner.id]
}

/** What no answer to an attack may be. */
function assertHarmless(answer: Answer, what: string): void {
  expect(answer.status, `${what}: ${answer.text}`).toBeGreaterThanOrEqual(400)
  expect(answer.status, `${what}: ${answer.text}`).toBeLessThan(500)
  expect(answer.text, what).not.toContain(MARK)
  expect(answer.type, what).toContain('application/problem+json')
}

const name = ({ method, path }: Operation) => `${method} ${path}`
const takesIdInPath = ({ path }: Operation) => path.includes('{', '/t/{slug}'.length)
/** What a blog is for. */
const isPublic = ({ method, path }: Operation) => method === 'GET' && path.startsWith('/t/{slug}/blog/')
const closed = () => operations.filter(({ access }) => access !== 'anyone')
const ofTenants = () => operations.filter(({ scope, access }) => scope === 'tenant' && access !== 'anyone')

/** With a body that would be taken, so that nothing but access stands in the way. */
function requestOf(operation: Operation, slug: string, id: string): InjectOptions {
  const { method, body } = operation
  return { method, url: fillPath(operation, slug, id), ...(body && { payload: makeBody(body, id) }) }
}

it('every route of the document declares its permission', () => {
  expect(operations.length).toBeGreaterThan(70)
  for (const operation of operations) {
    expect(['anyone', 'user', ...roles], name(operation)).toContain(operation.access)
    // What anyone may call is in no tenant, or meant to be public.
    if (operation.scope === 'tenant' && !isPublic(operation))
      expect(roles, name(operation)).toContain(operation.access)
  }
})

it('lets nobody in who is not known', async () => {
  const bad = [
    {},
    { authorization: 'Bearer qs_forged' },
    { authorization: 'Basic eDp5' },
    { cookie: 'quickscale.session_token=forged.forged' },
  ]
  for (const operation of closed()) {
    for (const [index, headers] of bad.entries()) {
      const slug = victimOf(strategies[index % strategies.length] ?? 'rls')
      const answer = await ask({ ...requestOf(operation, slug, owner.id), headers })
      assertHarmless(answer, name(operation))
      expect(answer.status, name(operation)).toBe(401)
    }
  }
})

describe.each(strategies)('a tenant with the %s strategy', (strategy) => {
  const slug = victimOf(strategy)

  it('lets nobody in who belongs to another tenant', async () => {
    for (const operation of ofTenants()) {
      for (const id of foreignIds[strategy]?.slice(0, 1) ?? []) {
        const answer = await ask({ ...requestOf(operation, slug, id), headers: stranger.headers })
        assertHarmless(answer, name(operation))
        expect([answer.status, answer.body.code], name(operation)).toEqual([404, 'TENANT_NOT_FOUND'])
      }
    }
  })

  it('lets viewers change nothing', async () => {
    const above = ofTenants().filter(({ access }) => access !== 'viewer')
    expect(above.length).toBeGreaterThan(40)
    for (const operation of above) {
      for (const id of foreignIds[strategy]?.slice(0, 1) ?? []) {
        const answer = await ask({ ...requestOf(operation, slug, id), headers: viewer.headers })
        assertHarmless(answer, name(operation))
        expect([answer.status, answer.body.code], name(operation)).toEqual([403, 'ROLE_INSUFFICIENT'])
      }
    }
  })

  it('has nothing that is found by its id elsewhere', async () => {
    for (const operation of ofTenants()) {
      if (!takesIdInPath(operation) && !takesIds(operation.body)) continue
      for (const id of foreignIds[strategy] ?? []) {
        const answer = await ask({ ...requestOf(operation, 'attacker', id), headers: stranger.headers })
        // Empty lists below a record that is not there are no data.
        if (operation.method === 'GET' && answer.status === 200) {
          expect(answer.body, name(operation)).toEqual({ items: [] })
        } else assertHarmless(answer, name(operation))
      }
    }
  })

  it('has nothing that is found by search or cursor elsewhere', async () => {
    for (const operation of ofTenants().filter((each) => each.hasQuery('cursor') && !takesIdInPath(each))) {
      const url = fillPath(operation, slug, '')
      const { body } = await ask({ url: `${url}?limit=1`, headers: owner.headers })
      const elsewhere = fillPath(operation, 'attacker', '')
      const found = await ask({ url: `${elsewhere}?q=${MARK}`, headers: stranger.headers })
      expect(found.body.items, name(operation)).toEqual([])
      if (typeof body.next !== 'string') continue
      const paged = await ask({ url: `${elsewhere}?limit=1&cursor=${body.next}`, headers: stranger.headers })
      assertHarmless(paged, name(operation))
    }
  })
})

describe('what makes no sense', () => {
  const oversized = JSON.stringify({ name: 'x'.repeat(limits.bodyBytesMax) })
  const json = 'application/json'

  it.each([
    ['half of JSON', json, '{"a":'],
    ['a list', json, '[]'],
    ['nothing at all', json, ''],
    ['null', json, 'null'],
    ['unknown fields', json, '{"__nothing":1}'],
    ['another type of content', 'text/xml', '<a/>'],
    ['too much', json, oversized],
  ])('as a body is refused: %s', async (_what, type, payload) => {
    const headers = { ...stranger.headers, 'content-type': type }
    for (const operation of operations.filter(({ body }) => body !== null)) {
      const { method } = operation
      const url = fillPath(operation, 'attacker', stranger.id)
      assertHarmless(await ask({ method, url, headers, payload }), name(operation))
    }
  })

  it('as a value is refused', async () => {
    for (const operation of operations.filter(({ body }) => body !== null)) {
      const { method, body } = operation
      const url = fillPath(operation, 'attacker', stranger.id)
      for (const value of [null, 1e308, '\u0000', '\ud800', 'x'.repeat(200_000), { $ne: 1 }, [[]]]) {
        const payload = Object.fromEntries(Object.keys(makeBody(body, '')).map((key) => [key, value]))
        const answer = await ask({ method, url, headers: stranger.headers, payload })
        // Some fields may be null or anything; what cannot happen is a failure.
        expect(
          answer.status,
          `${name(operation)} ${JSON.stringify(value).slice(0, 40)}: ${answer.text}`,
        ).toBeLessThan(500)
      }
    }
  })

  it('in a path or a query is refused', async () => {
    for (const operation of operations) {
      const { method, body } = operation
      const payload = body && { payload: makeBody(body, stranger.id) }
      for (const id of ['1', '%00', '..%2f', '%F0%9F%92%A9', 'x'.repeat(3_000)]) {
        if (!takesIdInPath(operation)) continue
        const url = fillPath(operation, 'attacker', id)
        assertHarmless(await ask({ method, url, headers: stranger.headers, ...payload }), name(operation))
      }
      for (const key of ['%00', 'Not%20A%20Key', '..%2f..', "x'--"]) {
        if (operation.scope !== 'tenant') continue
        const url = fillPath(operation, key, stranger.id)
        assertHarmless(await ask({ method, url, headers: stranger.headers, ...payload }), name(operation))
      }
      if (method !== 'GET') continue
      const url = `${fillPath(operation, 'attacker', stranger.id)}?q=%00&limit=-1&sort[]=x&cursor=${'x'.repeat(5_000)}`
      expect((await ask({ url, headers: stranger.headers })).status, name(operation)).toBeLessThan(500)
    }
  })
})
