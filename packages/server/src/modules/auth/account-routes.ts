import type { Kysely } from 'kysely'
import * as api from '../../api/auth.ts'
import { idParameters } from '../../api/common.ts'
import { assertUnchanged } from '../../http/etag.ts'
import { requireUser } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { applicationRoute, type Route } from '../../http/route.ts'
import type { Services } from '../module.ts'
import { deleteAccount, renameEverywhere } from './account.ts'
import type { CredentialCache } from './identify.ts'
import type { Relay } from './relay.ts'
import { requireSession } from './session-only.ts'
import type { AuthTables } from './tables.ts'

type Db = Kysely<AuthTables>

/** The caller's own account. */
export function accountRoutes(
  services: Services,
  db: Db,
  relay: Relay,
  cache: CredentialCache,
): readonly Route[] {
  return [
    applicationRoute({
      method: 'GET',
      path: '/auth/profile',
      summary: 'Who the caller is',
      access: 'user',
      impersonated: true,
      answers: { 200: api.user },
      handle: ({ caller }) => readProfile(db, requireUser(caller)),
    }),
    applicationRoute({
      method: 'PATCH',
      path: '/auth/profile',
      summary: 'Changes name or picture, in every organization',
      access: 'user',
      body: api.profileChange,
      answers: { 200: api.user },
      handle: async ({ request, body, caller }) => {
        const userId = requireSession(caller)
        const profile = await db.transaction().execute(async (transaction) => {
          // Nobody else changes it from here on.
          await transaction.selectFrom('user').select('id').where('id', '=', userId).forUpdate().execute()
          assertUnchanged(request, JSON.stringify(api.user.encode(await readProfile(transaction, userId))))
          const change = { ...body, updated_at: new Date() }
          await transaction.updateTable('user').set(change).where('id', '=', userId).execute()
          return await readProfile(transaction, userId)
        })
        await renameEverywhere(services, profile)
        return profile
      },
    }),
    applicationRoute({
      method: 'DELETE',
      path: '/auth/account',
      summary: 'Deletes the account, and forgets its user in every organization',
      access: 'user',
      rate: 'sign-in',
      body: api.passwordOnly,
      answers: { 204: null },
      handle: async ({ request, reply, body, caller }) => {
        const userId = requireSession(caller)
        await relay(request, reply, { path: '/verify-password', body })
        for (const mayLeave of services.beforeDeletion) await mayLeave(userId)
        await deleteAccount(services, db, userId)
        cache.clear()
      },
    }),
    ...sessionRoutes(db, cache),
  ]
}

function sessionRoutes(db: Db, cache: CredentialCache): readonly Route[] {
  return [
    applicationRoute({
      method: 'GET',
      path: '/auth/sessions',
      summary: 'Where the caller is signed in',
      access: 'user',
      answers: { 200: api.sessions },
      handle: async ({ caller }) => ({
        items: await db
          .selectFrom('session')
          .select(['id', 'created_at', 'expires_at', 'ip_address', 'user_agent'])
          .where('user_id', '=', requireSession(caller))
          .where('expires_at', '>', new Date())
          .orderBy('created_at', 'desc')
          .execute(),
      }),
    }),
    applicationRoute({
      method: 'DELETE',
      path: '/auth/sessions/:id',
      summary: 'Ends a session of the caller, elsewhere within a minute',
      access: 'user',
      params: idParameters,
      answers: { 204: null },
      handle: async ({ caller, params }) => {
        const { numDeletedRows } = await db
          .deleteFrom('session')
          .where('id', '=', params.id)
          .where('user_id', '=', requireSession(caller))
          .executeTakeFirst()
        if (numDeletedRows === 0n) throw new ProblemError(404, 'NOT_FOUND', 'No such session')
        cache.clear()
      },
    }),
  ]
}

async function readProfile(db: Db, userId: string) {
  const {
    email_verified,
    two_factor_enabled: two_factor,
    ...rest
  } = await db
    .selectFrom('user')
    .select(['id', 'name', 'email', 'email_verified', 'image', 'two_factor_enabled', 'created_at'])
    .where('id', '=', userId)
    .executeTakeFirstOrThrow(() => new ProblemError(404, 'NOT_FOUND', 'There is no such account any more'))
  return { ...rest, email_verified, two_factor }
}
