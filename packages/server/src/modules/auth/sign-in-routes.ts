import * as api from '../../api/auth.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { applicationRoute, type Route } from '../../http/route.ts'
import type { Services } from '../module.ts'
import type { AuthOptions } from './options.ts'
import type { Relay } from './relay.ts'
import { requireSession } from './session-only.ts'

const done = { status: 'done' } as const
const guessable = { access: 'anyone', rate: 'sign-in' } as const

/** Who somebody turned out to be. */
function signedIn(answer: unknown): { readonly actor?: string } {
  const id: unknown = Object(Object(answer).user).id
  return typeof id === 'string' ? { actor: id } : {}
}

/** Coming and going. */
export function signInRoutes(
  { invitedSignUps }: Pick<Services, 'invitedSignUps'>,
  { registration }: Pick<AuthOptions, 'registration'>,
  relay: Relay,
): readonly Route[] {
  return [
    applicationRoute({
      ...guessable,
      method: 'POST',
      path: '/auth/sign-up',
      summary: 'Asks for an account; a mail confirms the address',
      body: api.signUp,
      answers: { 200: api.signedUp },
      handle: async ({ request, reply, body: { invitation, ...body } }) => {
        const signUp = () => relay(request, reply, { path: '/sign-up/email', body })
        if (registration) await signUp()
        else await signUpInvited(invitedSignUps, { email: body.email, token: invitation }, signUp)
        return { status: 'verify-email' }
      },
    }),
    applicationRoute({
      ...guessable,
      method: 'POST',
      path: '/auth/sign-in',
      summary: 'Begins a session, which is a cookie',
      body: api.signIn,
      answers: { 200: api.signedIn },
      handle: async ({ request, reply, body, audit }) => {
        const answer = await relay(request, reply, { path: '/sign-in/email', body })
        audit(signedIn(answer))
        return { status: 'twoFactorRedirect' in Object(answer) ? 'two-factor' : 'signed-in' }
      },
    }),
    applicationRoute({
      method: 'POST',
      path: '/auth/sign-out',
      summary: 'Ends this session',
      access: 'user',
      answers: { 200: api.done },
      handle: async ({ request, reply, caller }) => {
        requireSession(caller)
        await relay(request, reply, { path: '/sign-out' })
        return done
      },
    }),
    ...twoFactorRoutes(relay),
  ]
}

/** @throws ProblemError `EMAIL_PASSWORD_SIGN_UP_DISABLED`, alike whatever is wrong with the invitation */
async function signUpInvited(
  invitedSignUps: Services['invitedSignUps'],
  { email, token }: { readonly email: string; readonly token: string | undefined },
  signUp: () => Promise<unknown>,
): Promise<void> {
  if (token !== undefined) {
    for (const letIn of invitedSignUps) if (await letIn({ email, token }, signUp)) return
  }
  throw new ProblemError(
    400,
    'EMAIL_PASSWORD_SIGN_UP_DISABLED',
    'Registration is closed: it takes an invitation',
  )
}

function twoFactorRoutes(relay: Relay): readonly Route[] {
  return [
    applicationRoute({
      method: 'POST',
      path: '/auth/two-factor/enable',
      summary: 'Makes a second factor, which counts once a code of it was given',
      access: 'user',
      rate: 'sign-in',
      body: api.passwordOnly,
      answers: { 200: api.twoFactorEnabled },
      handle: async ({ request, reply, body, caller }) => {
        requireSession(caller)
        const made = Object(await relay(request, reply, { path: '/two-factor/enable', body }))
        return { totp_uri: made.totpURI, backup_codes: made.backupCodes }
      },
    }),
    provingRoute(relay, '/verify-totp', {
      path: '/auth/two-factor/verify',
      summary: 'Gives a code: ends signing in, or puts the second factor into force',
      body: api.twoFactorCode,
    }),
    provingRoute(relay, '/verify-backup-code', {
      path: '/auth/two-factor/recover',
      summary: 'Gives a backup code instead, which is good once: ends signing in',
      body: api.backupCode,
    }),
    applicationRoute({
      method: 'POST',
      path: '/auth/two-factor/disable',
      summary: 'Takes the second factor away',
      access: 'user',
      rate: 'sign-in',
      body: api.passwordOnly,
      answers: { 200: api.done },
      handle: async ({ request, reply, body, caller }) => {
        requireSession(caller)
        await relay(request, reply, { path: '/two-factor/disable', body })
        return done
      },
    }),
  ]
}

/** Whoever gives what only the user can have is signed in. */
function provingRoute(
  relay: Relay,
  proof: string,
  named: { readonly path: string; readonly summary: string; readonly body: typeof api.twoFactorCode },
): Route {
  return applicationRoute({
    ...guessable,
    ...named,
    method: 'POST',
    answers: { 200: api.done },
    handle: async ({ request, reply, body, audit }) => {
      audit(signedIn(await relay(request, reply, { path: `/two-factor${proof}`, body })))
      return done
    },
  })
}
