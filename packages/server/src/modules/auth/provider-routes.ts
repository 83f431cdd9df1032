import * as api from '../../api/auth.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { applicationRoute, type Route } from '../../http/route.ts'
import type { Services } from '../module.ts'
import type { AuthOptions } from './options.ts'
import type { Relay } from './relay.ts'

/** Signing in with an account elsewhere: OpenID Connect, and the social providers that better-auth knows. */
export function providerRoutes(
  { appUrl }: Services,
  { providers }: AuthOptions,
  relay: Relay,
): readonly Route[] {
  const assertKnown = (provider: string) => {
    if (Object.hasOwn(providers, provider)) return
    throw new ProblemError(404, 'NOT_FOUND', 'Nobody signs in that way here')
  }
  return [
    applicationRoute({
      method: 'POST',
      path: '/auth/sign-in/provider',
      summary: 'Where to send a browser that is to sign in with an account elsewhere',
      access: 'anyone',
      rate: 'sign-in',
      body: api.providerSignIn,
      answers: { 200: api.providerPage },
      handle: async ({ request, reply, body: { provider } }) => {
        assertKnown(provider)
        // The way back is ours to say: a caller's would lead anywhere.
        const body = {
          provider,
          callbackURL: appUrl,
          errorCallbackURL: `${appUrl}/sign-in`,
          disableRedirect: true,
        }
        const { url } = Object(await relay(request, reply, { path: '/sign-in/social', body }))
        return { url }
      },
    }),
    applicationRoute({
      method: 'GET',
      path: '/auth/callback/:provider',
      summary: 'Where the provider sends the browser back; begins a session',
      access: 'anyone',
      rate: 'sign-in',
      params: api.providerParameters,
      query: api.providerCallback,
      answers: { 302: null },
      handle: async ({ request, reply, params: { provider }, query }) => {
        assertKnown(provider)
        await relay(request, reply, { path: `/callback/${provider}`, method: 'GET', query })
      },
    }),
  ]
}
