import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { send } from './client.ts'
import type { TestInstallation } from './installation.ts'

export const password = 'correct horse battery'

/** Somebody who has signed in with a browser. */
export interface Visitor {
  readonly headers: { readonly cookie: string }
  readonly id: string
  readonly email: string
}

const post = ({ app }: TestInstallation, url: string, payload: object) =>
  send(app, { method: 'POST', url, payload })

/** In the order in which they were sent. */
export async function mailsTo({ outbox }: TestInstallation, to: string): Promise<readonly string[]> {
  const names = (await readdir(outbox)).sort()
  const mails = await Promise.all(names.map((name) => readFile(join(outbox, name), 'utf8')))
  return mails.filter((mail) => mail.includes(`To: ${to}\n`))
}

export async function tokenFor(installation: TestInstallation, to: string): Promise<string> {
  return decodeURIComponent(/token=(\S+)/.exec((await mailsTo(installation, to)).at(-1) ?? '')?.[1] ?? '')
}

/** The session of a new user, as the header of a browser. */
export async function signUp(installation: TestInstallation, name: string): Promise<Visitor> {
  const email = `${name}@example.test`
  await post(installation, '/auth/sign-up', { name, email, password })
  await post(installation, '/auth/email/verify', { token: await tokenFor(installation, email) })
  const headers = await signIn(installation, email)
  const { body } = await send(installation.app, { url: '/auth/profile', headers })
  return { headers, id: String(body.id), email }
}

export async function signIn(
  installation: TestInstallation,
  email: string,
  secret = password,
): Promise<{ cookie: string }> {
  const answer = await post(installation, '/auth/sign-in', { email, password: secret })
  expect(answer.body, answer.text).toMatchObject({ status: 'signed-in' })
  return { cookie: cookiesOf(answer.headers) }
}

export function cookiesOf(headers: Readonly<Record<string, unknown>>): string {
  return [headers['set-cookie']]
    .flat()
    .map((cookie) => String(cookie).split(';')[0])
    .join('; ')
}
