import { createHmac } from 'node:crypto'
import { createServer } from 'node:net'
import type { Strategy } from '@quickscale/tenancy'
import type { InjectOptions } from 'fastify'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createSmtpMailer } from '../src/index.ts'
import { resumeDeletions } from '../src/modules/auth/account.ts'
import { resumeAddresses } from '../src/modules/auth/email-change.ts'
import type { AuthTables } from '../src/modules/auth/index.ts'
import type { TeamsTables } from '../src/modules/teams/tables.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { waitForAdvisoryLock } from './support/locks.ts'
import * as sessions from './support/sessions.ts'

const { password, cookiesOf } = sessions
const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation
const tenantOf = (strategy: Strategy) => `home-${strategy}`

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true })
  for (const strategy of strategies) {
    const slug = tenantOf(strategy)
    await installation.tenancy.tenants.create({ slug, name: slug, plan: strategy })
  }
})
afterAll(() => installation.remove())

const ask = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, options: InjectOptions = {}) =>
  send(installation.app, { method, url, ...options })

const tokenFor = (to: string) => sessions.tokenFor(installation, to)
const signUp = (name: string) => sessions.signUp(installation, name)
const signIn = (email: string, secret?: string) => sessions.signIn(installation, email, secret)

const bearer = (key: unknown) => ({ headers: { authorization: `Bearer ${key}` } })

describe('an account', () => {
  it('begins with a mail, and a session with a password', async () => {
    const email = 'ann@example.test'
    const signedUp = await ask('POST', '/auth/sign-up', { payload: { name: 'Ann', email, password } })
    expect(signedUp.body).toEqual({ status: 'verify-email' })
    const early = await ask('POST', '/auth/sign-in', { payload: { email, password } })
    expect([early.status, early.body.code]).toEqual([403, 'EMAIL_NOT_VERIFIED'])
    expect((await ask('POST', '/auth/email/verify', { payload: { token: 'x' } })).status).toBe(401)
    await ask('POST', '/auth/email/verify', { payload: { token: await tokenFor(email) } })
    const wrong = await ask('POST', '/auth/sign-in', { payload: { email, password: 'wrong' } })
    expect(wrong.status).toBe(401)
    const headers = await signIn(email)
    const changed = await ask('PATCH', '/auth/profile', { headers, payload: { name: 'Ann Lee' } })
    expect(changed.body).toMatchObject({ name: 'Ann Lee', email, email_verified: true })
    expect((await ask('GET', '/auth/sessions', { headers })).body.items).toHaveLength(1)
    await ask('POST', '/auth/sign-out', { headers })
    const { id } = changed.body
    const db = installation.tenancy.controlPlane.kysely<AuthTables>('auth')
    expect(await db.selectFrom('session').selectAll().where('user_id', '=', String(id)).execute()).toEqual([])
  })

  it('cannot be probed: a taken address and an unknown one are answered alike', async () => {
    const { email } = await signUp('taken')
    for (const address of [email, 'free@example.test']) {
      const again = { name: 'Other', email: address, password: 'another password' }
      expect((await ask('POST', '/auth/sign-up', { payload: again })).text).toBe('{"status":"verify-email"}')
      const forgot = await ask('POST', '/auth/password/forgot', { payload: { email: address } })
      expect([forgot.status, forgot.text]).toEqual([200, '{"status":"done"}'])
    }
    await signIn(email)
  })

  it('gets a new password by mail, which ends its sessions', async () => {
    const { email } = await signUp('forgetful')
    await ask('POST', '/auth/password/forgot', { payload: { email } })
    const token = await tokenFor(email)
    const reset = { payload: { token, password: 'a new password' } }
    expect((await ask('POST', '/auth/password/reset', reset)).status).toBe(200)
    expect((await ask('POST', '/auth/password/reset', reset)).status).toBe(400)
    expect((await ask('POST', '/auth/sign-in', { payload: { email, password } })).status).toBe(401)
    const headers = await signIn(email, 'a new password')
    expect((await ask('GET', '/auth/sessions', { headers })).body.items).toHaveLength(1)
    const change = { current_password: 'wrong', password: 'yet another one' }
    expect((await ask('POST', '/auth/password/change', { headers, payload: change })).status).toBe(400)
    const right = { ...change, current_password: 'a new password' }
    expect((await ask('POST', '/auth/password/change', { headers, payload: right })).status).toBe(200)
    await signIn(email, 'yet another one')
  })

  it('can have a second factor, without which the password is not enough', async () => {
    const { headers, email } = await signUp('careful')
    const enabled = await ask('POST', '/auth/two-factor/enable', { headers, payload: { password } })
    const secret = new URL(String(enabled.body.totp_uri)).searchParams.get('secret') ?? ''
    expect(
      (await ask('POST', '/auth/two-factor/verify', { headers, payload: { code: codeOf(secret) } })).status,
    ).toBe(200)
    const half = await ask('POST', '/auth/sign-in', { payload: { email, password } })
    expect(half.body).toEqual({ status: 'two-factor' })
    const cookie = cookiesOf(half.headers)
    expect((await ask('GET', '/auth/profile', { headers: { cookie } })).status).toBe(401)
    const whole = await ask('POST', '/auth/two-factor/verify', {
      headers: { cookie },
      payload: { code: codeOf(secret) },
    })
    expect(
      (await ask('GET', '/auth/profile', { headers: { cookie: cookiesOf(whole.headers) } })).status,
    ).toBe(200)
  })

  it('gets in without its second factor by a backup code, once each', async () => {
    const { headers, email } = await signUp('locked-out')
    const enabled = await ask('POST', '/auth/two-factor/enable', { headers, payload: { password } })
    const secret = new URL(String(enabled.body.totp_uri)).searchParams.get('secret') ?? ''
    await ask('POST', '/auth/two-factor/verify', { headers, payload: { code: codeOf(secret) } })
    const [code] = Object(enabled.body).backup_codes as string[]
    const recover = async (given: unknown) => {
      const half = await ask('POST', '/auth/sign-in', { payload: { email, password } })
      const cookie = cookiesOf(half.headers)
      return await ask('POST', '/auth/two-factor/recover', { headers: { cookie }, payload: { code: given } })
    }
    expect((await ask('POST', '/auth/two-factor/recover', { payload: { code } })).status).toBe(401)
    expect((await recover('aaaaa-bbbbb')).status).toBe(401)
    const whole = await recover(code)
    expect(whole.body).toEqual({ status: 'done' })
    const cookie = cookiesOf(whole.headers)
    expect((await ask('GET', '/auth/profile', { headers: { cookie } })).status).toBe(200)
    expect((await recover(code)).status).toBe(401)
  })

  it('is given another address by a token in the mail there, once; the old one is told, and opens nothing more', async () => {
    const { headers, id, email } = await signUp('settled')
    const [taken, next] = [(await signUp('somebody')).email, 'Moved@example.test']
    const { members, tenant } = installation.tenancy
    for (const strategy of strategies)
      await members.put(tenantOf(strategy), { userId: id, name: 'Settled', email, role: 'member' })
    const change = (wanted: string, secret = password) =>
      ask('POST', '/auth/email/change', { headers, payload: { email: wanted, password: secret } })
    const confirm = (token: string) => ask('POST', '/auth/email/change/confirm', { payload: { token } })
    expect((await change(next, 'wrong')).status).toBe(400)
    const { key } = (await ask('POST', '/auth/api-keys', { headers, payload: { name: 'x' } })).body
    const byKey = await ask('POST', '/auth/email/change', {
      ...bearer(key),
      payload: { email: next, password },
    })
    expect(byKey.body.code).toBe('SESSION_REQUIRED')
    const mailsBefore = await sessions.mailsTo(installation, taken)
    const answers = [await change(taken), await change(next)]
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
    expect(await sessions.mailsTo(installation, taken)).toEqual(mailsBefore)
    const first = await tokenFor(next.toLowerCase())
    await change(next)
    // Somebody reads the old mailbox.
    await ask('POST', '/auth/password/forgot', { payload: { email } })
    const stolen = await tokenFor(email)
    const token = await tokenFor(next.toLowerCase())
    for (const bad of ['x', `${token}x`, first]) {
      expect((await confirm(bad)).body.code).toBe('TOKEN_REFUSED')
    }
    const confirmed = await Promise.all([1, 2, 3, 4].map(() => confirm(token)))
    expect(confirmed.map(({ status }) => status).sort()).toEqual([200, 403, 403, 403])
    expect((await confirm(token)).body.code).toBe('TOKEN_REFUSED')
    // Without the copy of the session that a browser keeps for a minute.
    const cookie = /quickscale\.session_token=[^;]+/.exec(headers.cookie)?.[0] ?? ''
    expect(cookie).not.toBe('')
    expect((await ask('GET', '/auth/profile', { headers: { cookie } })).status).toBe(401)
    const reset = { token: stolen, password: 'another password' }
    expect((await ask('POST', '/auth/password/reset', { payload: reset })).status).toBe(400)
    expect((await ask('POST', '/auth/sign-in', { payload: { email, password } })).status).toBe(401)
    const profile = await ask('GET', '/auth/profile', { headers: await signIn(next) })
    expect(profile.body).toMatchObject({ id, email: next.toLowerCase(), email_verified: true })
    expect((await sessions.mailsTo(installation, email)).at(-1)).toContain('your address was changed')
    await members.deliver()
    for (const strategy of strategies) {
      const { rows } = await tenant(tenantOf(strategy)).query('select email from member where user_id = $1', [
        id,
      ])
      expect(rows).toEqual([{ email: next.toLowerCase() }])
    }
  })

  it('has no address that nobody has confirmed in time, or that another account has by then; what was interrupted goes on', async () => {
    const { headers, id } = await signUp('slow')
    const { controlPlane, members, tenant } = installation.tenancy
    const db = controlPlane.kysely<AuthTables>('auth')
    const change = async (email: string) => {
      await ask('POST', '/auth/email/change', { headers, payload: { email, password } })
      return await tokenFor(email)
    }
    const confirm = (token: string) => ask('POST', '/auth/email/change/confirm', { payload: { token } })
    const late = await change('late@example.test')
    await db.updateTable('email_change').set({ expires_at: new Date() }).where('user_id', '=', id).execute()
    expect((await confirm(late)).body.code).toBe('TOKEN_REFUSED')
    const lost = await change('wanted@example.test')
    await signUp('wanted')
    expect((await confirm(lost)).body.code).toBe('TOKEN_REFUSED')
    expect((await ask('GET', '/auth/profile', { headers })).body).toMatchObject({
      email: 'slow@example.test',
    })
    // Confirmed, and then the process was gone.
    await members.put(tenantOf('rls'), {
      userId: id,
      name: 'slow',
      email: 'slow@example.test',
      role: 'member',
    })
    await db.updateTable('user').set({ email: 'later@example.test' }).where('id', '=', id).execute()
    await db.updateTable('email_change').set({ confirmed_at: new Date() }).where('user_id', '=', id).execute()
    const { app, tenancy } = installation
    const mailer = { send: async () => expect.unreachable('nobody is told twice') }
    const deliveries = { request: () => undefined }
    const surroundings = { tenancy, db, mailer, deliveries, appName: '', appUrl: '', log: app.log }
    expect([await resumeAddresses(surroundings), await resumeAddresses(surroundings)]).toEqual([1, 0])
    await members.deliver()
    const { rows } = await tenant(tenantOf('rls')).query('select email from member where user_id = $1', [id])
    expect(rows).toEqual([{ email: 'later@example.test' }])
  })

  it('is not acted on by pages of other origins', async () => {
    const { headers } = await signUp('visited')
    const post = (more: object) =>
      ask('POST', '/auth/api-keys', { headers: { ...headers, ...more }, payload: { name: 'x' } })
    for (const more of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ]) {
      expect((await post(more)).body.code).toBe('ORIGIN_REFUSED')
    }
    expect((await post({ origin: 'http://localhost' })).status).toBe(201)
  })
})

describe('a key', () => {
  it('is good for what its user may, or less, until it is deleted', async () => {
    const { headers, id } = await signUp('scripted')
    const slug = tenantOf('rls')
    await installation.tenancy.members.put(slug, { userId: id, name: 'Scripted', role: 'admin' })
    const make = (payload: object) => ask('POST', '/auth/api-keys', { headers, payload })
    const full = (await make({ name: 'full' })).body
    const reading = (await make({ name: 'reading', role: 'viewer' })).body
    const expired = (await make({ name: 'old', expires_at: '2020-01-01T00:00:00Z' })).body
    const write = (key: unknown) =>
      ask('POST', `/t/${slug}/companies`, { ...bearer(key), payload: { name: 'By key' } })
    expect((await write(full.key)).status).toBe(201)
    expect((await write(reading.key)).body.code).toBe('ROLE_INSUFFICIENT')
    expect((await ask('GET', `/t/${slug}/companies`, bearer(reading.key))).status).toBe(200)
    expect((await write(expired.key)).status).toBe(401)
    expect((await ask('GET', `/t/${tenantOf('schema')}/companies`, bearer(full.key))).status).toBe(404)
    expect(
      (await ask('POST', '/auth/api-keys', { ...bearer(full.key), payload: { name: 'x' } })).body.code,
    ).toBe('SESSION_REQUIRED')
    const listed = await ask('GET', '/auth/api-keys', { headers })
    expect(listed.text).not.toContain(String(full.key))
    expect((await ask('DELETE', `/auth/api-keys/${full.id}`, { headers })).status).toBe(204)
    expect((await write(full.key)).status).toBe(401)
  })

  it('of an organization is nobody, and good for that one', async () => {
    const { headers, id } = await signUp('integrator')
    const [slug, other] = [tenantOf('schema'), tenantOf('database')]
    for (const key of [slug, other])
      await installation.tenancy.members.put(key, { userId: id, name: 'Integrator', role: 'admin' })
    const made = await ask('POST', `/t/${slug}/api-clients`, {
      headers,
      payload: { name: 'shop', role: 'owner' },
    })
    expect([made.status, made.body.role]).toEqual([201, 'admin'])
    expect((await ask('GET', '/companies', bearer(made.body.key))).status).toBe(200)
    expect((await ask('GET', `/t/${other}/companies`, bearer(made.body.key))).status).toBe(404)
    expect((await ask('DELETE', `/t/${other}/api-clients/${made.body.id}`, { headers })).status).toBe(404)
    expect((await ask('DELETE', `/t/${slug}/api-clients/${made.body.id}`, { headers })).status).toBe(204)
    expect((await ask('GET', '/companies', bearer(made.body.key))).status).toBe(401)
  })
})

describe('a token', () => {
  it('carries tenant and role, and is good for no other tenant and no forger', async () => {
    const { headers, id } = await signUp('mobile')
    const [slug, other] = [tenantOf('rls'), tenantOf('database')]
    for (const key of [slug, other])
      await installation.tenancy.members.put(key, { userId: id, name: 'Mobile', role: 'member' })
    const { body } = await ask('POST', '/auth/token', { headers, payload: { organization: slug } })
    const token = String(body.token)
    const [head = '', claims = '', mac = ''] = token.split('.')
    const read = JSON.parse(Buffer.from(claims, 'base64url').toString())
    const { id: tenant_id } = await installation.tenancy.tenants.get(slug)
    expect(read).toMatchObject({ sub: id, tenant_id, role: 'member', iss: 'http://localhost' })
    expect((await ask('GET', '/companies', bearer(token))).status).toBe(200)
    expect((await ask('GET', `/t/${other}/companies`, bearer(token))).status).toBe(404)
    // Nor does it outlive its time by making others.
    const renewed = await ask('POST', '/auth/token', { ...bearer(token), payload: { organization: slug } })
    expect([renewed.status, renewed.body.code]).toEqual([403, 'CREDENTIAL_REQUIRED'])
    const forged = Buffer.from(JSON.stringify({ ...read, role: 'owner' })).toString('base64url')
    const unsigned = Buffer.from('{"alg":"none"}').toString('base64url')
    for (const bad of [`${head}.${forged}.${mac}`, `${unsigned}.${claims}.`, 'x', `${token}x`]) {
      expect((await ask('GET', '/companies', bearer(bad))).status).toBe(401)
    }
    // Membership is looked up, whatever a token says.
    await installation.tenancy.members.deactivate(slug, id)
    expect((await ask('GET', '/companies', bearer(token))).status).toBe(404)
    const refused = await ask('POST', '/auth/token', { headers, payload: { organization: slug } })
    expect(refused.status).toBe(404)
  })
})

describe('a tenant', () => {
  it('that is not there and one that the caller has no part in are answered alike', async () => {
    const { headers } = await signUp('stranger')
    const answers = await Promise.all(
      [tenantOf('rls'), 'nobody-here'].map((slug) => ask('GET', `/t/${slug}/contacts`, { headers })),
    )
    const plain = answers.map(({ status, text, body }) =>
      [status, text.replaceAll(String(body.instance), '').replaceAll(/home-rls|nobody-here/g, '')].join(),
    )
    expect(plain[0]).toBe(plain[1])
    expect(answers[0]?.status).toBe(404)
  })
})

describe('a session', () => {
  it('can select the organization that requests are about when they name none', async () => {
    const { headers, id } = await signUp('switcher')
    const ids: string[] = []
    for (const strategy of strategies) {
      await installation.tenancy.members.put(tenantOf(strategy), { userId: id, name: 'S', role: 'viewer' })
      ids.push((await installation.tenancy.tenants.get(tenantOf(strategy))).id)
    }
    expect((await ask('GET', '/organization', { headers })).body.code).toBe('TENANT_MISSING')
    for (const [index, strategy] of strategies.entries()) {
      const selected = await ask('POST', `/organizations/${ids[index]}/select`, { headers })
      const cookie = `${headers.cookie}; ${cookiesOf(selected.headers)}`
      expect((await ask('GET', '/organization', { headers: { cookie } })).body.slug).toBe(tenantOf(strategy))
    }
    const { id: other } = await installation.tenancy.tenants.get('one')
    expect((await ask('POST', `/organizations/${other}/select`, { headers })).status).toBe(404)
    const cookie = `${headers.cookie}; quickscale.organization=${other}`
    expect((await ask('GET', '/organization', { headers: { cookie } })).status).toBe(404)
  })
})

describe('a profile', () => {
  it('is changed by one of two who both saw it as it was, and by nobody who saw it before', async () => {
    const { headers } = await signUp('profiled')
    const tag = String((await ask('GET', '/auth/profile', { headers })).headers.etag)
    const change = (name: string, match: string) =>
      ask('PATCH', '/auth/profile', { headers: { ...headers, 'if-match': match }, payload: { name } })
    const both = await Promise.all([change('A', tag), change('B', tag)])
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412])
    const profile = await ask('GET', '/auth/profile', { headers })
    expect(profile.body).toEqual(both.find(({ status }) => status === 200)?.body)
    expect((await change('C', tag)).body.code).toBe('PRECONDITION_FAILED')
    expect((await change('C', String(profile.headers.etag))).body.name).toBe('C')
    expect((await change('D', '*')).body.name).toBe('D')
  })
})

describe('the document', () => {
  it.each(['http://localhost', 'https://app.example.com'])(
    'names the session cookie as it is at %s',
    async (baseUrl) => {
      const { email } = await signUp(`cookie-${new URL(baseUrl).protocol.slice(0, -1)}`)
      const app = await installation.open({ baseUrl })
      try {
        const { body } = await send(app, { url: '/openapi.json' })
        const { name } = Object(body.components).securitySchemes.session
        const payload = { email, password }
        const answer = await send(app, { method: 'POST', url: '/auth/sign-in', payload })
        const given = cookiesOf(answer.headers).split('; ')
        expect(given.filter((cookie) => cookie.startsWith(`${name}=`))).toHaveLength(1)
      } finally {
        await app.close()
      }
    },
  )
})

describe('the end of an account', () => {
  it('forgets its user in every tenant, and goes on when it was interrupted', async () => {
    const { headers, id } = await signUp('leaver')
    const interrupted = await signUp('interrupted')
    const { members, tenant, controlPlane } = installation.tenancy
    for (const { userId, email } of [
      { userId: id, email: 'a@b.example' },
      { userId: interrupted.id, email: 'c@d.example' },
    ])
      for (const strategy of strategies)
        await members.put(tenantOf(strategy), { userId, name: 'Leaver', email, role: 'member' })
    await members.deliver()
    const wrong = await ask('DELETE', '/auth/account', { headers, payload: { password: 'wrong' } })
    expect(wrong.status).toBe(400)
    expect((await ask('DELETE', '/auth/account', { headers, payload: { password } })).status).toBe(204)
    // Noted, and then the process was gone.
    const db = controlPlane.kysely<AuthTables>('auth')
    await db.insertInto('deletion').values({ user_id: interrupted.id }).execute()
    // One that cannot be finished holds up no other one.
    const stuck = await signUp('stuck')
    await db
      .insertInto('deletion')
      .values({ user_id: stuck.id, asked_at: new Date(0) })
      .execute()
    const { tenancy, app } = installation
    const deliveries = { request: () => undefined }
    const fail = async (person: { id: string }) => {
      if (person.id === stuck.id) throw new Error('not now')
    }
    const deleting = { tenancy, deliveries, log: app.log, onDeletion: [fail] }
    expect(await resumeDeletions(deleting, db)).toBe(1)
    expect(await resumeDeletions({ ...deleting, onDeletion: [] }, db)).toBe(1)
    await members.deliver()
    for (const userId of [id, interrupted.id]) {
      for (const strategy of strategies) {
        const { rows } = await tenant(tenantOf(strategy)).query(
          'select name, email, active from member where user_id = $1',
          [userId],
        )
        expect(rows).toEqual([{ name: 'Former member', email: null, active: false }])
      }
      expect(await db.selectFrom('user').selectAll().where('id', '=', userId).execute()).toEqual([])
    }
    const gone = await ask('POST', '/auth/sign-in', { payload: { email: interrupted.email, password } })
    expect(gone.status).toBe(401)
  })
})

describe('accounts that end', () => {
  it('are not remembered as invited, nor by what was mailed to them', async () => {
    const { headers, id, email } = await signUp('invited')
    const { tenancy } = installation
    const { id: tenant_id } = await tenancy.tenants.get(tenantOf('rls'))
    const teams = tenancy.controlPlane.kysely<TeamsTables>('teams')
    const invitation = { tenant_id, role: 'viewer', digest: Buffer.from('x'), invited_by: null } as const
    await teams
      .insertInto('invitation')
      .values({ ...invitation, email, expires_at: new Date(Date.now() + 60_000) })
      .execute()
    await ask('POST', '/auth/password/forgot', { payload: { email } })
    expect((await ask('DELETE', '/auth/account', { headers, payload: { password } })).status).toBe(204)
    expect(await teams.selectFrom('invitation').selectAll().where('email', '=', email).execute()).toEqual([])
    const db = tenancy.controlPlane.kysely<AuthTables>('auth')
    expect(await db.selectFrom('verification').selectAll().where('value', '=', id).execute()).toEqual([])
  })

  it('at the same moment leave an owner', async () => {
    const owners = [await signUp('owner-a'), await signUp('owner-b')]
    const { members } = installation.tenancy
    for (const { id } of owners)
      for (const strategy of strategies)
        await members.put(tenantOf(strategy), { userId: id, name: 'Owner', role: 'owner' })
    const ended = await Promise.all(
      owners.map(({ headers }) => ask('DELETE', '/auth/account', { headers, payload: { password } })),
    )
    expect(ended.map(({ status }) => status).sort()).toEqual([204, 409])
    const [left] = owners.filter((_, index) => ended[index]?.status === 409)
    const held = await Promise.all(strategies.map((each) => members.find(tenantOf(each), String(left?.id))))
    expect(held.map((member) => [member?.active, member?.role])).toEqual(
      strategies.map(() => [true, 'owner']),
    )
  })

  it('stay as they were when the last other owner of one organization leaves at that moment', async () => {
    const [staying, leaving] = [await signUp('staying'), await signUp('leaving')]
    const { members, tenants, controlPlane } = installation.tenancy
    const [first, last] = [await tenants.get('one'), await tenants.get('two')]
    for (const { id } of [staying, leaving])
      for (const { slug } of [first, last])
        await members.put(slug, { userId: id, name: 'Owner', role: 'owner' })
    const { answer } = await controlPlane
      .kysely('teams')
      .transaction()
      .execute(async (transaction) => {
        await sql`select pg_advisory_xact_lock(hashtextextended('owners ' || ${last.id}::text, 0))`.execute(
          transaction,
        )
        const answer = ask('DELETE', '/auth/account', { headers: staying.headers, payload: { password } })
        await waitForAdvisoryLock(transaction)
        await members.deactivate(last.slug, leaving.id)
        return { answer }
      })
    expect((await answer).body.code).toBe('LAST_OWNER')
    for (const { slug } of [first, last])
      expect(await members.find(slug, staying.id)).toMatchObject({ active: true, role: 'owner' })
    expect((await ask('GET', '/auth/profile', { headers: staying.headers })).status).toBe(200)
  })
})

describe('mail', () => {
  it('goes out through an SMTP server', async () => {
    const received: string[] = []
    const server = createServer((socket) => {
      let inData = false
      socket.write('220 ready\r\n')
      socket.on('data', (chunk) => {
        const text = String(chunk)
        received.push(text)
        if (inData) {
          if (!text.endsWith('\r\n.\r\n')) return
          inData = false
          socket.write('250 kept\r\n')
        } else if (/^DATA/i.test(text)) {
          inData = true
          socket.write('354 go on\r\n')
        } else socket.write(/^QUIT/i.test(text) ? '221 bye\r\n' : '250 ok\r\n')
      })
    })
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    const mailer = createSmtpMailer({ url: `smtp://127.0.0.1:${port}`, from: 'app@example.test' })
    await mailer.send({ to: 'ann@example.test', subject: 'Hello', text: 'Body of the mail' })
    const all = received.join('')
    for (const part of [
      'MAIL FROM:<app@example.test>',
      'RCPT TO:<ann@example.test>',
      'Subject: Hello',
      'Body of the mail',
    ])
      expect(all).toContain(part)
    await new Promise((done) => server.close(done))
  })
})

/** RFC 6238: what an authenticator app shows at this moment. */
function codeOf(secret: string): string {
  const bits = [...secret]
    .map((each) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(each).toString(2).padStart(5, '0'))
    .join('')
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)))
  const mac = createHmac('sha1', key).update(counter).digest()
  const number = mac.readUInt32BE((mac.at(-1) ?? 0) & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}
