import { randomBytes } from 'node:crypto'
import type { Strategy } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { buildApp, createFileMailer, grantOperator, listOperators, revokeOperator } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { sweepImpersonations } from '../src/modules/auth/impersonation/ending.ts'
import type { AuthTables } from '../src/modules/auth/index.ts'
import { type Answer, send, sendingTo } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { fillPath, makeBody, readOperations } from './support/operations.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'
import { cookiesOf, password, signIn, signUp, type Visitor } from './support/sessions.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const BANNER = 'quickscale-impersonated-by'
const reason = 'Ticket 4711: the import shows nothing'

let installation: TestInstallation
let operator: Visitor
let colleague: Visitor
/** Owns the tenants, and is acted as. */
let owner: TestPerson
let member: TestPerson
const slugOf = (strategy: Strategy) => `at-${strategy}`

const auth = () => installation.tenancy.controlPlane.kysely<AuthTables>('auth')

beforeAll(async () => {
  const billing = { meters: { calls: {} } }
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    tenants: [],
    billing,
  })
  const { tenancy } = installation
  ;[owner, member] = [await makePerson(tenancy, 'Owner'), await makePerson(tenancy, 'Member')]
  ;[operator, colleague] = [await signUp(installation, 'olga'), await signUp(installation, 'otto')]
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: slugOf(plan), name: plan, plan })
    await join(tenancy, slugOf(plan), owner, 'owner')
    await join(tenancy, slugOf(plan), member, 'member')
  }
  await tenancy.tenants.create({ slug: 'below', name: 'Below', plan: 'rls', parent: slugOf('rls') })
  await tenancy.members.deliver()
})
afterAll(() => installation.remove())
// Whatever a test has taken away.
beforeEach(async () => {
  for (const { email } of [operator, colleague]) await grantOperator(installation.tenancy, email)
  for (const { email } of [owner, member]) await revokeOperator(installation.tenancy, email)
})

/** What whoever acts as a user may call, by method. */
const isOpen = `
  DELETE: /author-profiles/{id} /blog-tags/{id} /categories/{id} /companies/{id} /contacts/{id}
    /contacts/{id}/notes/{note_id} /contacts/{id}/tags/{tag_id} /deals/{id} /deals/{id}/notes/{note_id}
    /deals/{id}/tags/{tag_id} /jobs/failed/{id} /media/{id} /posts/{id} /posts/{id}/tags/{tag_id} /stages/{id}
    /tags/{id}
  GET: /api-clients /audit-log /audit-log.csv /audit-log.ndjson /auth/profile /author-profiles
    /author-profiles/{id} /billing/invoices /billing/subscription /billing/usage /billing/usage/hours /blog-tags
    /blog-tags/{id} /categories /categories/{id} /companies /companies/{id} /contact-notes /contacts
    /contacts/{id} /contacts/{id}/notes /contacts/{id}/notes/{note_id} /contacts/{id}/tags /crm/dashboard
    /deal-notes /deals /deals/{id} /deals/{id}/notes /deals/{id}/notes/{note_id} /deals/{id}/tags /domains
    /impersonations /invitations /jobs/failed /media /media/{id} /members /organization /posts /posts/{id}
    /posts/{id}/tags /stages /stages/{id} /tags /tags/{id}
  PATCH: /author-profiles/{id} /blog-tags/{id} /categories/{id} /companies/{id} /contacts/{id}
    /contacts/{id}/notes/{note_id} /deals/{id} /deals/{id}/notes/{note_id} /media/{id} /posts/{id} /stages/{id}
    /tags/{id}
  POST: /auth/impersonation/stop /author-profiles /blog-tags /blog/publish /categories /companies /contacts
    /contacts/{id}/notes /deals /deals/bulk/lost /deals/bulk/stage /deals/bulk/won /deals/{id}/notes
    /jobs/failed/{id}/retry /media /posts /stages /tags
  PUT: /contacts/{id}/tags/{tag_id} /deals/{id}/tags/{tag_id} /posts/{id}/tags/{tag_id} /stages/order`
  .split(/\n {2}(?=\w)/)
  .flatMap((line) => {
    const [method = '', ...paths] = line.trim().split(/:?\s+/)
    return paths.map((path) => `${method} ${path}`)
  })
  .sort()

interface Headed {
  readonly headers: Readonly<Record<string, string>>
}
const ask = sendingTo(() => installation.app)
const outcome = ({ status, body }: Answer) => [status, body.code]

/** A token to act as somebody. */
async function askFor(slug: string, user: string, by: Headed = operator): Promise<Answer> {
  return await ask(by, 'POST', '/operator/impersonations', { organization: slug, user, reason })
}
const redeem = (token: unknown, by: Headed = operator) =>
  ask(by, 'POST', '/operator/impersonations/redeem', { token: String(token) })

interface Begun extends Headed {
  readonly id: string
}
async function begin(slug: string, user: TestPerson, by: Headed = operator): Promise<Begun> {
  const { body } = await askFor(slug, user.id, by)
  const begun = await redeem(body.token, by)
  expect(begun.status, begun.text).toBe(200)
  return { id: String(begun.body.id), headers: { authorization: `Bearer ${begun.body.credential}` } }
}

const expire = (id: string) =>
  auth().updateTable('impersonation').set({ expires_at: new Date() }).where('id', '=', id).execute()

/** Where the operator has signed in last. */
async function latestSession(): Promise<string> {
  const sessions = auth().selectFrom('session').select('id').where('user_id', '=', operator.id)
  return (await sessions.orderBy('created_at', 'desc').executeTakeFirstOrThrow()).id
}

/** What the tenant's log has about one impersonation, the earliest first. */
async function linesOf(slug: string, q: string) {
  const { body } = await ask(owner, 'GET', `/t/${slug}/audit-log?limit=100&q=${q}`)
  return (body.items ?? []).toReversed()
}

describe.each(strategies)('an operator in a tenant with the %s strategy', (strategy) => {
  const slug = slugOf(strategy)

  it('acts as the user whom they asked for, in every line and every answer', async () => {
    const asked = await askFor(slug, owner.email)
    expect(asked.status, asked.text).toBe(201)
    const { id, token } = asked.body
    const begun = await redeem(token)
    const acting = { headers: { authorization: `Bearer ${begun.body.credential}` } }
    const made = await ask(acting, 'POST', `/t/${slug}/companies`, { name: 'By an operator' })
    const answers = [
      made,
      // The credential names its tenant.
      await ask(acting, 'GET', '/companies'),
      await ask(acting, 'GET', `/t/${slug}/companies/${owner.id}`),
      await ask(acting, 'GET', '/companies?limit=bogus'),
      await ask(acting, 'GET', '/companies?cursor=bogus'),
      await ask(acting, 'GET', `/t/${slug}/companies/%00`),
      await ask(acting, 'GET', '/auth/profile'),
      await ask(acting, 'POST', `/t/${slug}/companies`, { wrong: 1 }),
      await ask(acting, 'POST', `/t/${slug}/stages`, { name: `New ${strategy}` }),
      await ask(acting, 'PATCH', '/auth/profile', { name: 'Somebody else' }),
      await ask(acting, 'POST', '/auth/impersonation/stop'),
    ]
    expect(answers.map(({ status }) => status)).toEqual([
      201, 200, 404, 400, 400, 400, 200, 400, 201, 403, 204,
    ])
    for (const { headers } of answers) expect(headers[BANNER]).toBe(operator.id)
    expect(outcome(await ask(acting, 'GET', '/companies'))).toEqual([401, 'UNAUTHENTICATED'])
    expect((await ask(owner, 'GET', `/t/${slug}/companies`)).headers[BANNER]).toBeUndefined()
    const both = { actor: owner.id, credential: 'impersonation', impersonator: operator.id, outcome: 'done' }
    const refusedWith = (code: string) => ({ ...both, outcome: 'refused', code })
    expect(await linesOf(slug, operator.id)).toMatchObject([
      { ...both, action: 'impersonation.ask', entity: id, request_id: asked.headers['x-request-id'] },
      { ...both, action: 'impersonation.begin', entity: id, request_id: begun.headers['x-request-id'] },
      { ...both, action: 'POST /companies', entity: made.body.id },
      { ...both, action: 'GET /companies' },
      { ...refusedWith('NOT_FOUND'), action: 'GET /companies/:id', entity: owner.id },
      { ...refusedWith('VALIDATION_FAILED'), action: 'GET /companies' },
      { ...refusedWith('CURSOR_INVALID'), action: 'GET /companies' },
      { ...refusedWith('VALIDATION_FAILED'), action: 'GET /companies/:id', entity: null },
      { ...both, action: 'GET /auth/profile' },
      { ...refusedWith('VALIDATION_FAILED'), action: 'POST /companies' },
      { ...both, action: 'POST /stages' },
      { ...refusedWith('IMPERSONATION_REFUSED'), action: 'PATCH /auth/profile' },
      { ...both, action: 'impersonation.end', entity: id, code: 'STOPPED' },
      { ...both, action: 'POST /auth/impersonation/stop' },
    ])
  })

  it('has what the user is there, and nothing elsewhere', async () => {
    const acting = await begin(slug, member)
    expect((await ask(acting, 'POST', `/t/${slug}/companies`, { name: 'x' })).status).toBe(201)
    expect((await ask(acting, 'POST', `/t/${slug}/stages`, { name: 'x' })).body.code).toBe(
      'ROLE_INSUFFICIENT',
    )
    for (const other of strategies.filter((each) => each !== strategy)) {
      expect(outcome(await ask(acting, 'GET', `/t/${slugOf(other)}/companies`))).toEqual([
        404,
        'TENANT_NOT_FOUND',
      ])
    }
    expect((await linesOf(slug, operator.id)).filter(({ code }) => code === 'TENANT_NOT_FOUND')).toHaveLength(
      2,
    )
  })

  it('is nobody any more when the membership ends', async () => {
    const acting = await begin(slug, member)
    const { body } = await askFor(slug, member.id)
    await installation.tenancy.members.deactivate(slug, member.id)
    expect((await ask(acting, 'GET', `/t/${slug}/companies`)).status).toBe(404)
    expect(outcome(await redeem(body.token))).toEqual([403, 'TOKEN_REFUSED'])
    expect((await askFor(slug, member.id)).status).toBe(404)
    await join(installation.tenancy, slug, member, 'member')
  })

  it('lasts as long as the session that it was begun from, and no other one', async () => {
    const session = { headers: await signIn(installation, operator.email) }
    const [begun, other] = [await begin(slug, owner, session), await begin(slug, owner)]
    const { body } = await askFor(slug, owner.id, session)
    const statuses = async () =>
      await Promise.all([begun, other].map(async (each) => (await ask(each, 'GET', '/companies')).status))
    expect(await statuses()).toEqual([200, 200])
    expect((await ask(session, 'POST', '/auth/sign-out')).status).toBe(200)
    expect(await statuses()).toEqual([401, 200])
    // Nor is a token good any more that was asked for there.
    expect(outcome(await redeem(body.token))).toEqual([403, 'TOKEN_REFUSED'])
  })

  it('is seen by the admins of the organization, with the reason, and ended by them', async () => {
    const acting = await begin(slug, member)
    const elsewhere = strategies.find((each) => each !== strategy) ?? strategy
    const seen = await ask(owner, 'GET', `/t/${slug}/impersonations`)
    expect(seen.body.items?.[0]).toMatchObject({
      id: acting.id,
      operator_id: operator.id,
      user_id: member.id,
      reason,
      ended_at: null,
    })
    expect((await ask(member, 'GET', `/t/${slug}/impersonations`)).body.code).toBe('ROLE_INSUFFICIENT')
    const end = (where: Strategy) => ask(owner, 'DELETE', `/t/${slugOf(where)}/impersonations/${acting.id}`)
    expect((await end(elsewhere)).status).toBe(404)
    expect((await ask(acting, 'GET', '/companies')).status).toBe(200)
    expect((await end(strategy)).status).toBe(204)
    expect((await end(strategy)).status).toBe(404)
    expect((await ask(acting, 'GET', '/companies')).status).toBe(401)
    expect((await linesOf(slug, acting.id)).map(({ action, code }) => [action, code])).toEqual([
      ['impersonation.ask', null],
      ['impersonation.begin', null],
      ['impersonation.end', 'ENDED'],
      ['DELETE /impersonations/:id', null],
      ['DELETE /impersonations/:id', 'NOT_FOUND'],
    ])
  })
})

describe('a token', () => {
  const slug = slugOf('rls')

  it('is made for operators only, who have signed in, and for no operator', async () => {
    const before = await linesOf(slug, 'impersonation.ask')
    const outsider = await signUp(installation, 'outsider')
    expect(outcome(await askFor(slug, member.id, owner))).toEqual([403, 'SESSION_REQUIRED'])
    expect(outcome(await askFor(slug, member.id, outsider))).toEqual([403, 'OPERATOR_REQUIRED'])
    expect(outcome(await redeem('x', outsider))).toEqual([403, 'OPERATOR_REQUIRED'])
    expect(outcome(await ask(outsider, 'GET', '/operator/impersonations'))).toEqual([
      403,
      'OPERATOR_REQUIRED',
    ])
    const { body } = await ask(operator, 'POST', '/auth/api-keys', { name: 'a script' })
    const script = { headers: { authorization: `Bearer ${body.key}` } }
    expect(outcome(await askFor(slug, member.id, script))).toEqual([403, 'SESSION_REQUIRED'])
    // better-auth believes a cookie for a while.
    const left = { headers: await signIn(installation, operator.email) }
    await ask(left, 'POST', '/auth/sign-out')
    expect(outcome(await askFor(slug, member.id, left))).toEqual([401, 'UNAUTHENTICATED'])
    expect(await linesOf(slug, 'impersonation.ask')).toEqual(before)
    await grantOperator(installation.tenancy, owner.email)
    const refusals = await Promise.all(
      [owner.id, owner.email, colleague.id, outsider.id, 'nobody@example.test'].map((user) =>
        askFor(slug, user),
      ),
    )
    refusals.push(await askFor('nowhere', member.id))
    const plain = refusals.map(({ text, body: { instance } }) => text.replace(String(instance), ''))
    expect(new Set(plain).size, plain.join('\n')).toBe(1)
    expect(refusals[0]?.status).toBe(404)
    const refused = (await linesOf(slug, 'impersonation.ask')).filter((line) => line.outcome === 'refused')
    expect(refused).toHaveLength(2)
    expect(await listOperators(installation.tenancy)).toMatchObject([
      { email: owner.email },
      { userId: operator.id },
      { userId: colleague.id },
    ])
  })

  it('is given to an operator a few times at once, however many they ask for at the same moment', async () => {
    const busy = await signUp(installation, 'busy')
    await grantOperator(installation.tenancy, busy.email)
    const asked = Array.from({ length: limits.impersonationsMax + 5 }, () => askFor(slug, member.id, busy))
    const answers = await Promise.all(asked)
    const refused = answers.filter(({ status }) => status !== 201)
    expect(refused.map(({ body }) => body.code)).toEqual(Array(5).fill('TOO_MANY_IMPERSONATIONS'))
    await revokeOperator(installation.tenancy, busy.email)
  })

  it('is good once, however many redeem it at the same moment', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { body } = await askFor(slug, member.id)
      const answers = await Promise.all(Array.from({ length: 6 }, () => redeem(body.token)))
      const statuses = answers.map(({ status }) => status)
      expect(statuses.filter((status) => status === 200)).toHaveLength(1)
      expect(statuses.filter((status) => status === 403)).toHaveLength(5)
      const begun = (await linesOf(slug, String(body.id))).filter(({ outcome: each }) => each === 'done')
      expect(begun).toHaveLength(2)
    }
  })

  it('is refused alike whatever is wrong with it', async () => {
    const { tenancy } = installation
    const fresh = async () => String((await askFor(slug, member.id)).body.token)
    const used = await fresh()
    await redeem(used)
    const refusals = [
      await redeem(used),
      await redeem('qsit_forged'),
      await redeem(`${await fresh()}x`),
      await redeem(await fresh(), colleague),
    ]
    const after = async (change: (id: string) => Promise<unknown>) => {
      const { body } = await askFor(slug, member.id)
      await change(String(body.id))
      refusals.push(await redeem(body.token))
    }
    await after(expire)
    await after((id) => ask(colleague, 'DELETE', `/operator/impersonations/${id}`))
    await after(() => grantOperator(tenancy, member.email))
    await revokeOperator(tenancy, member.email)
    await after(async () => {
      await revokeOperator(tenancy, operator.email)
      await grantOperator(tenancy, operator.email)
    })
    const leaver = await makePerson(tenancy, 'Leaver')
    await join(tenancy, slug, leaver, 'member')
    const acting = await begin(slug, leaver)
    const { body } = await askFor(slug, leaver.id)
    await auth().deleteFrom('user').where('id', '=', leaver.id).execute()
    refusals.push(await redeem(body.token))
    expect((await ask(acting, 'GET', '/companies')).status).toBe(401)
    const plain = refusals.map(({ status, text, body: { instance } }) =>
      [status, text.replace(String(instance), '')].join(),
    )
    expect(new Set(plain).size, plain.join('\n')).toBe(1)
    expect(outcome(refusals[0] as Answer)).toEqual([403, 'TOKEN_REFUSED'])
    expect(
      (await linesOf(slug, 'impersonation.begin')).some(
        ({ impersonator, outcome: each }) => impersonator === colleague.id && each === 'refused',
      ),
    ).toBe(true)
  })

  it('is kept nowhere, nor is what it is redeemed for', async () => {
    const { body } = await askFor(slug, member.id)
    const begun = await redeem(body.token)
    const kept = JSON.stringify([
      await auth().selectFrom('impersonation').selectAll().execute(),
      await linesOf(slug, ''),
      (await sql`select * from platform.audit_log`.execute(auth())).rows,
    ])
    for (const secret of [body.token, begun.body.credential]) {
      expect(kept).not.toContain(secret)
      expect(kept).not.toContain(Buffer.from(String(secret)).toString('hex'))
    }
    // What it is redeemed for is another secret.
    const acting = { headers: { authorization: `Bearer ${body.token}` } }
    expect((await ask(acting, 'GET', '/companies')).status).toBe(401)
  })
})

describe('whoever acts as a user', () => {
  const slug = slugOf('schema')

  it('does nothing that is about the user, configures or gives away', async () => {
    const acting = await begin(slug, owner)
    const operations = readOperations(installation.app)
    const closed = operations.filter(({ access, impersonated }) => access !== 'anyone' && !impersonated)
    for (const operation of closed) {
      const { method, path, body } = operation
      const payload = body === null ? undefined : makeBody(body, member.id)
      const answer = await ask(acting, method, fillPath(operation, slug, member.id), payload)
      expect(outcome(answer), `${method} ${path}`).toEqual([403, 'IMPERSONATION_REFUSED'])
    }
    // What is open, to the last: whatever is added has to be written down here, or refused.
    const open = operations.filter(({ access, impersonated }) => access !== 'anyone' && impersonated)
    const names = open.map(({ method, path }) => `${method} ${path.replace('/t/{slug}', '')}`)
    expect(names.sort()).toEqual(isOpen)
    // And nothing has changed.
    expect(await installation.tenancy.members.find(slug, owner.id)).toMatchObject({ role: 'owner' })
    expect(await installation.tenancy.members.find(slug, member.id)).toMatchObject({ role: 'member' })
  })

  it('stays in the organization, though the user is somebody in those below it', async () => {
    const acting = await begin(slugOf('rls'), owner)
    expect((await ask(owner, 'GET', '/t/below/companies')).status).toBe(200)
    expect(outcome(await ask(acting, 'GET', '/t/below/companies'))).toEqual([404, 'TENANT_NOT_FOUND'])
    const trees = async (who: Headed) =>
      (await ask(who, 'GET', `/t/${slugOf('rls')}/billing/usage`)).body.items?.map(({ tree }) => tree)
    expect([await trees(owner), await trees(acting)]).toEqual([[0], [null]])
  })

  it('gets no answer that the user has kept under a key, nor the other way round', async () => {
    const acting = await begin(slug, owner)
    const make = (who: Headed, name: string) =>
      ask({ headers: { ...who.headers, 'idempotency-key': 'the-same' } }, 'POST', `/t/${slug}/tags`, { name })
    const first = await make(owner, 'one')
    const second = await make(acting, 'two')
    expect([first.status, second.status, second.body.name]).toEqual([201, 201, 'two'])
    expect((await make(acting, 'two')).headers['idempotency-replayed']).toBe('true')
    // What is answered once more has its line too.
    const tags = (await linesOf(slug, operator.id)).filter(({ action }) => action === 'POST /tags')
    expect(tags.map((line) => line.outcome)).toEqual(['done', 'done'])
  })

  it('is refused what is too much, or comes when much is open, with a line as well', async () => {
    const { tenancy, outbox } = installation
    const at = slugOf('rls')
    const [acting, other] = [await begin(at, owner), await begin(at, member)]
    const { body } = await ask(owner, 'POST', `/t/${at}/companies`, { name: 'Held' })
    const hour = { windowSeconds: 3_600, user: { requestsPerSecond: 4 / 3_600 } }
    const further = await buildApp({
      tenancy,
      secret: randomBytes(32),
      baseUrl: 'http://localhost',
      mailer: createFileMailer(outbox),
      eventLoopDelayMsMax: 0,
      worker: false,
      limits: { ...hour, plans: { rls: { requestsPerSecond: 1_000, concurrent: 1, waiting: 0 } } },
    })
    const change = () =>
      send(further, {
        method: 'PATCH',
        url: `/companies/${body.id}`,
        headers: acting.headers,
        payload: { industry: 'Mining' },
      })
    const changes: Promise<Answer>[] = []
    const refused = await tenancy.tenant(at).transaction(async ({ query }) => {
      await query('select from companies where id = $1 for update', [body.id])
      changes.push(change(), change())
      return [
        await Promise.race(changes),
        await send(further, { url: '/companies', headers: acting.headers }),
        // Whoever asks on, refused, is not written down again until they may ask.
        await send(further, { url: '/companies', headers: acting.headers }),
        await send(further, { url: '/contacts', headers: acting.headers }),
        await send(further, { url: '/companies', headers: other.headers }),
      ]
    })
    const answers = [...refused, ...(await Promise.all(changes))]
    await further.close()
    expect(refused.map(outcome)).toEqual([
      [429, 'TENANT_BUSY'],
      [429, 'RATE_LIMITED'],
      [429, 'RATE_LIMITED'],
      [429, 'RATE_LIMITED'],
      [429, 'RATE_LIMITED'],
    ])
    const requests = answers.map(({ headers }) => headers['x-request-id'])
    const lines = (await linesOf(at, operator.id)).filter((line) =>
      requests.includes(String(line.request_id)),
    )
    expect(lines.map((line) => [line.action, line.outcome, line.code].join()).sort()).toEqual([
      'GET /companies,refused,RATE_LIMITED',
      'GET /companies,refused,RATE_LIMITED',
      'PATCH /companies/:id,done,',
      'PATCH /companies/:id,refused,TENANT_BUSY',
    ])
  })

  it.each<[string, string, (begun: Begun, session: Headed) => Promise<unknown>]>([
    ['the operator signs out', 'SIGNED_OUT', (_begun, session) => ask(session, 'POST', '/auth/sign-out')],
    [
      'the operator ends that session from another one',
      'SIGNED_OUT',
      async () => await ask(operator, 'DELETE', `/auth/sessions/${await latestSession()}`),
    ],
    [
      "the time of the operator's session is over",
      'SIGNED_OUT',
      async () =>
        await auth()
          .updateTable('session')
          .set({ expires_at: new Date() })
          .where('id', '=', await latestSession())
          .execute(),
    ],
    ['their time is over', 'EXPIRED', ({ id }) => expire(id)],
    [
      'the operator is none any more',
      'RIGHT_LOST',
      () => revokeOperator(installation.tenancy, operator.email),
    ],
    ['the user becomes one', 'RIGHT_LOST', () => grantOperator(installation.tenancy, owner.email)],
    [
      'another operator ends it',
      'ENDED',
      ({ id }) => ask(colleague, 'DELETE', `/operator/impersonations/${id}`),
    ],
  ])('may do nothing from the moment on when %s', async (_what, code, change) => {
    const further = await installation.open()
    const session = { headers: await signIn(installation, operator.email) }
    const begun = await begin(slug, owner, session)
    const elsewhere = () => send(further, { url: '/companies', headers: begun.headers })
    expect((await elsewhere()).status).toBe(200)
    await change(begun, session)
    expect((await elsewhere()).status).toBe(401)
    expect((await ask(begun, 'GET', '/companies')).status).toBe(401)
    await further.close()
    const { tenancy } = installation
    const sweeping = { tenancy, db: auth(), platformLog: async () => expect.unreachable() }
    await Promise.all([sweepImpersonations(sweeping), sweepImpersonations(sweeping)])
    const ends = (await linesOf(slug, begun.id)).filter(({ action }) => action === 'impersonation.end')
    expect(ends).toMatchObject([{ code, actor: owner.id, impersonator: operator.id }])
  })

  it('is over for an operator who has chosen a new password, or has no account any more', async () => {
    const leaving = await signUp(installation, 'oscar')
    await grantOperator(installation.tenancy, leaving.email)
    const first = await begin(slug, owner, leaving)
    const change = { current_password: password, password: 'another horse battery' }
    const changed = await ask(leaving, 'POST', '/auth/password/change', change)
    expect((await ask(first, 'GET', '/companies')).status).toBe(401)
    const again = { headers: { cookie: cookiesOf(changed.headers) } }
    const second = await begin(slug, owner, again)
    expect((await ask(second, 'GET', '/companies')).status).toBe(200)
    const gone = await ask(again, 'DELETE', '/auth/account', { password: change.password })
    expect(gone.status, gone.text).toBe(204)
    expect((await ask(second, 'GET', '/companies')).status).toBe(401)
  })

  it('is seen by operators while it goes on', async () => {
    const begun = await begin(slug, owner)
    const running = async () => (await ask(colleague, 'GET', '/operator/impersonations')).body.items ?? []
    expect(await running()).toContainEqual(expect.objectContaining({ id: begun.id, user_id: owner.id }))
    await ask(begun, 'POST', '/auth/impersonation/stop')
    expect((await running()).map(({ id }) => id)).not.toContain(begun.id)
  })
})

it('where nothing can be written down, nothing begins', async () => {
  const { tenants } = installation.tenancy
  const slug = slugOf('rls')
  const acting = await begin(slug, member)
  const { body } = await askFor(slug, member.id)
  await tenants.suspend(slug)
  expect((await askFor(slug, member.id)).body.code).toBe('TENANT_SUSPENDED')
  expect((await redeem(body.token)).body.code).toBe('TENANT_SUSPENDED')
  // Nor is anything answered to who has begun.
  const profile = () => ask(acting, 'GET', '/auth/profile')
  const { status, headers } = await profile()
  const lines =
    await sql`select * from platform.audit_log where request_id = ${headers['x-request-id']}`.execute(auth())
  expect([status, lines.rows]).toMatchObject([
    200,
    [{ action: 'GET /auth/profile', impersonator: operator.id }],
  ])
  await sql`alter table platform.audit_log rename to away`.execute(auth())
  const unwritten = await profile()
  await sql`alter table platform.away rename to audit_log`.execute(auth())
  expect([unwritten.status, unwritten.text]).toEqual([500, expect.not.stringContaining(member.email)])
  await tenants.resume(slug)
})

it('what goes on, is old or is to be written down is found without reading all there was', async () => {
  const plans = await auth()
    .transaction()
    .execute(async (transaction) => {
      // The tables here are small.
      await sql`set local enable_seqscan = off`.execute(transaction)
      const explain = async (statement: string) =>
        JSON.stringify((await sql.raw(`explain ${statement}`).execute(transaction)).rows)
      return [
        await explain(
          "update auth.impersonation set ended_at = now(), end_code = 'EXPIRED' where ended_at is null",
        ),
        await explain(`select from auth.valid_impersonation where operator_id = '${operator.id}'`),
        await explain("delete from auth.impersonation where asked_at < now() - interval '400 days'"),
        await explain(`select from auth.impersonation where ended_at is not null and noted_at is null
          order by ended_at limit 100`),
      ]
    })
  const indexes = ['open', 'open', 'by_age', 'unnoted']
  for (const [at, plan] of plans.entries()) expect(plan).toContain(`impersonation_${indexes[at]}`)
})
