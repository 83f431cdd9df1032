import * as api from '../../api/auth.ts'
import { applicationRoute, type Route } from '../../http/route.ts'
import type { Relay } from './relay.ts'
import { requireSession } from './session-only.ts'

const done = { status: 'done' } as const
const byMail = { method: 'POST', access: 'anyone', rate: 'sign-in', answers: { 200: api.done } } as const

/** Addresses and passwords. What asks for a mail answers alike whether there is such an account or not. */
export function passwordRoutes(relay: Relay): readonly Route[] {
  return [
    applicationRoute({
      ...byMail,
      path: '/auth/email/send',
      summary: 'Sends the mail that confirms an address once more',
      body: api.emailOnly,
      handle: async ({ request, reply, body }) => {
        await relay(request, reply, { path: '/send-verification-email', body })
        return done
      },
    }),
    applicationRoute({
      ...byMail,
      path: '/auth/email/verify',
      summary: 'Confirms an address with the token of the mail',
      body: api.tokenOnly,
      handle: async ({ request, reply, body: { token } }) => {
        await relay(request, reply, { path: '/verify-email', method: 'GET', query: { token } })
        return done
      },
    }),
    applicationRoute({
      ...byMail,
      path: '/auth/password/forgot',
      summary: 'Sends a mail with which a new password can be chosen',
      body: api.emailOnly,
      handle: async ({ request, reply, body }) => {
        await relay(request, reply, { path: '/request-password-reset', body })
        return done
      },
    }),
    applicationRoute({
      ...byMail,
      path: '/auth/password/reset',
      summary: 'Chooses a new password with the token of the mail; ends all sessions',
      body: api.passwordReset,
      handle: async ({ request, reply, body: { token, password } }) => {
        await relay(request, reply, { path: '/reset-password', body: { token, newPassword: password } })
        return done
      },
    }),
    applicationRoute({
      ...byMail,
      path: '/auth/password/change',
      summary: 'Changes the password; ends all other sessions',
      access: 'user',
      body: api.passwordChange,
      handle: async ({ request, reply, body, caller }) => {
        requireSession(caller)
        const { current_password: currentPassword, password: newPassword } = body
        const change = { currentPassword, newPassword, revokeOtherSessions: true }
        await relay(request, reply, { path: '/change-password', body: change })
        return done
      },
    }),
  ]
}
