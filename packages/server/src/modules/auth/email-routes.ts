import * as api from '../../api/auth.ts'
import { applicationRoute, type Route } from '../../http/route.ts'
import { askForAddress, confirmAddress } from './email-change.ts'
import type { CredentialCache } from './identify.ts'
import type { Relay } from './relay.ts'
import { requireSession } from './session-only.ts'

const done = { status: 'done' } as const

type Changing = Parameters<typeof confirmAddress>[0]

/** Another address for an account. */
export function emailRoutes(changing: Changing, relay: Relay, cache: CredentialCache): readonly Route[] {
  return [
    applicationRoute({
      method: 'POST',
      path: '/auth/email/change',
      summary: 'Mails a token to another address, which the account is to have',
      access: 'user',
      rate: 'sign-in',
      body: api.emailChange,
      answers: { 200: api.done },
      handle: async ({ request, reply, caller, body: { email, password } }) => {
        const userId = requireSession(caller)
        await relay(request, reply, { path: '/verify-password', body: { password } })
        await askForAddress(changing, userId, email)
        return done
      },
    }),
    applicationRoute({
      method: 'POST',
      path: '/auth/email/change/confirm',
      summary:
        'Gives the account that address, with the token of the mail; ends all sessions, and tells the old address',
      access: 'anyone',
      rate: 'sign-in',
      body: api.tokenOnly,
      answers: { 200: api.done },
      handle: async ({ body: { token }, audit }) => {
        audit({ actor: await confirmAddress(changing, token) })
        cache.clear()
        return done
      },
    }),
  ]
}
