import { betterAuth } from 'better-auth'
import { genericOAuth, jwt, twoFactor } from 'better-auth/plugins'
import { CamelCasePlugin } from 'kysely'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import type { AuthOptions } from './options.ts'

interface Settings {
  readonly services: Services
  readonly options: AuthOptions
}

/** Where better-auth's own routes would be; they are reached through ours only. */
export const BASE_PATH = '/auth'

export type BetterAuth = ReturnType<typeof openBetterAuth>

/** Users, sessions, passwords, second factors and tokens, in the schema `auth` of the catalog's database. */
export function openBetterAuth({ services, options }: Settings) {
  const { tenancy, mailer, baseUrl, appUrl, log } = services
  const link = (page: string, token: string) => `${appUrl}/${page}?token=${encodeURIComponent(token)}`
  return betterAuth({
    appName: options.appName,
    baseURL: baseUrl,
    basePath: BASE_PATH,
    secret: services.deriveSecret('auth'),
    logger: { level: 'warn', log: (level, message) => log[level]({ part: 'better-auth' }, message) },
    database: { db: tenancy.controlPlane.kysely('auth').withPlugin(new CamelCasePlugin()), type: 'postgres' },
    advanced: {
      database: { generateId: 'uuid' },
      cookiePrefix: 'quickscale',
      ipAddress: { ipAddressHeaders: ['x-forwarded-for'] },
    },
    session: { cookieCache: { enabled: true, maxAge: limits.sessionCacheSeconds } },
    rateLimit: { enabled: options.rateLimit },
    telemetry: { enabled: false },
    emailAndPassword: {
      enabled: true,
      requireEmailVerification: true,
      minPasswordLength: 10,
      revokeSessionsOnPasswordReset: true,
      sendResetPassword: ({ user, token }) =>
        mailer.send({
          to: user.email,
          subject: `${options.appName}: a new password`,
          text: `Choose a new password: ${link('reset-password', token)}\n\nIf you did not ask for this, ignore it.`,
        }),
    },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: ({ user, token }) =>
        mailer.send({
          to: user.email,
          subject: `${options.appName}: confirm your address`,
          text: `Confirm your e-mail address: ${link('verify-email', token)}`,
        }),
    },
    socialProviders: socialProviders(options),
    plugins: [
      genericOAuth({ config: openIdProviders(options) }),
      jwt({
        disableSettingJwtHeader: true,
        jwt: { issuer: baseUrl, audience: baseUrl, expirationTime: `${limits.tokenSeconds}s` },
      }),
      twoFactor({ issuer: options.appName }),
    ],
  })
}

/** Providers that better-auth knows by name. */
function socialProviders({ providers, registration }: AuthOptions) {
  const known = Object.entries(providers).filter(([, { discoveryUrl }]) => discoveryUrl === undefined)
  return Object.fromEntries(
    known.map(([name, { clientId, clientSecret }]) => [
      name,
      { clientId, clientSecret, disableSignUp: !registration },
    ]),
  )
}

/** Any other one; what it says of a user counts only with its signature. */
function openIdProviders({ providers, registration }: AuthOptions) {
  return Object.entries(providers).flatMap(([providerId, { clientId, clientSecret, discoveryUrl }]) =>
    discoveryUrl === undefined
      ? []
      : {
          providerId,
          clientId,
          clientSecret,
          discoveryUrl,
          scopes: ['openid', 'profile', 'email'],
          pkce: true,
          requireIdTokenVerification: true,
          disableSignUp: !registration,
        },
  )
}
