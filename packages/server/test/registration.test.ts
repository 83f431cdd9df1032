import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest'
import { type AuthTables, createKey } from '../src/modules/auth/index.ts'
import type { TeamsTables } from '../src/modules/teams/tables.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { password, signIn, tokenFor } from './support/sessions.ts'

const closed = [400, 'EMAIL_PASSWORD_SIGN_UP_DISABLED', 'Registration is closed: it takes an invitation']

let installation: TestInstallation
let headers: { authorization: string }
const auth = () => installation.tenancy.controlPlane.kysely<AuthTables>('auth')
const teams = () => installation.tenancy.controlPlane.kysely<TeamsTables>('teams')

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    auth: { registration: false },
    tenants: ['one'],
  })
  const { id: tenantId } = await installation.tenancy.tenants.get('one')
  const { key } = await createKey(auth(), { tenantId }, { name: 'client', role: 'admin' })
  headers = { authorization: `Bearer ${key}` }
})
beforeEach(async () => {
  await auth().deleteFrom('user').execute()
  await teams().deleteFrom('invitation').execute()
})
afterAll(() => installation.remove())

async function invite(email: string): Promise<{ readonly id: string; readonly token: string }> {
  const asked = {
    method: 'POST',
    url: '/t/one/invitations',
    headers,
    payload: { email, role: 'member' },
  } as const
  const { body } = await send(installation.app, asked)
  return { id: String(body.id), token: await tokenFor(installation, email) }
}

const ask = (email: string, invitation?: string, secret = password) =>
  send(installation.app, {
    method: 'POST',
    url: '/auth/sign-up',
    payload: { name: 'Ann', email, password: secret, ...(invitation !== undefined && { invitation }) },
  })

async function outcome(email: string, invitation?: string) {
  const { status, body } = await ask(email, invitation)
  return [status, body.code, body.detail]
}

const emails = async () =>
  (await auth().selectFrom('user').select('email').execute()).map(({ email }) => email)

it('is refused while registration is closed, and leaves nobody behind', async () => {
  expect(await outcome('ann@example.test')).toEqual(closed)
  expect(await emails()).toEqual([])
})

it('is open to whom an invitation was sent, who then becomes a member', async () => {
  const { token } = await invite('ann@example.test')
  const { status, body } = await ask('Ann@Example.test', token)
  expect([status, body]).toEqual([200, { status: 'verify-email' }])
  const early = {
    method: 'POST',
    url: '/auth/sign-in',
    payload: { email: 'ann@example.test', password },
  } as const
  expect((await send(installation.app, early)).body.code).toBe('EMAIL_NOT_VERIFIED')
  const verification = { token: await tokenFor(installation, 'ann@example.test') }
  await send(installation.app, { method: 'POST', url: '/auth/email/verify', payload: verification })
  const session = await signIn(installation, 'ann@example.test')
  const acceptance = {
    method: 'POST',
    url: '/invitations/accept',
    headers: session,
    payload: { token },
  } as const
  expect((await send(installation.app, acceptance)).body).toMatchObject({ slug: 'one', role: 'member' })
  await auth().deleteFrom('user').execute()
  expect(await outcome('ann@example.test', token)).toEqual(closed)
})

it('is refused alike to whoever else has the token, or had it', async () => {
  const { id, token } = await invite('ann@example.test')
  await invite('ben@example.test')
  expect(await outcome('eve@example.test', token)).toEqual(closed)
  // Invited, but with the token of somebody else, with none, or with one that never was.
  expect(await outcome('ben@example.test', token)).toEqual(closed)
  expect(await outcome('ben@example.test')).toEqual(closed)
  expect(await outcome('ben@example.test', `${token}x`)).toEqual(closed)
  const again = await invite('ann@example.test')
  expect(await outcome('ann@example.test', token)).toEqual(closed)
  await teams()
    .updateTable('invitation')
    .set({ expires_at: new Date(0) })
    .where('id', '=', id)
    .execute()
  expect(await outcome('ann@example.test', again.token)).toEqual(closed)
  const { token: revoked } = await invite('ann@example.test')
  await send(installation.app, { method: 'DELETE', url: `/t/one/invitations/${id}`, headers })
  expect(await outcome('ann@example.test', revoked)).toEqual(closed)
  expect(await emails()).toEqual([])
})

it('is open once, even if its account has another address by then or many ask at the same moment', async () => {
  const { token } = await invite('ann@example.test')
  const answers = await Promise.all(['', '', ''].map(() => ask('ann@example.test', token)))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 400, 400])
  await auth().updateTable('user').set({ email: 'other@example.test' }).execute()
  expect(await outcome('ann@example.test', token)).toEqual(closed)
  expect(await emails()).toEqual(['other@example.test'])
  const { token: further } = await invite('ann@example.test')
  expect((await ask('ann@example.test', further)).status).toBe(200)
})

it('stays open when the account could not be made', async () => {
  const { token } = await invite('ann@example.test')
  const db = auth()
  await sql`create function auth.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'no accounts today'; end $$`.execute(db)
  await sql`create trigger refuse before insert on auth.user for each row execute function auth.refuse()`.execute(
    db,
  )
  expect((await ask('ann@example.test', token)).status).toBeGreaterThanOrEqual(400)
  await sql`drop function auth.refuse cascade`.execute(db)
  expect((await ask('ann@example.test', token)).status).toBe(200)
})
