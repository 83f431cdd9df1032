import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import type { AuthTables } from '../src/modules/auth/index.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { password } from './support/sessions.ts'

let installation: TestInstallation

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    auth: { registration: false },
    tenants: [],
  })
})
afterAll(() => installation.remove())

it('is refused while registration is closed, and leaves nobody behind', async () => {
  const answer = await send(installation.app, {
    method: 'POST',
    url: '/auth/sign-up',
    payload: { name: 'Ann', email: 'ann@example.test', password },
  })
  expect([answer.status, answer.body.code]).toEqual([400, 'EMAIL_PASSWORD_SIGN_UP_DISABLED'])
  const db = installation.tenancy.controlPlane.kysely<AuthTables>('auth')
  expect(await db.selectFrom('user').selectAll().execute()).toEqual([])
})
