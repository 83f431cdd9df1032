import { createHash, randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { forbidden, type Role, reaches, type Standing } from '../../http/access.ts'
import type { Person } from '../../http/gate.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import { assertRoom } from '../room.ts'
import type { TeamsTables } from './tables.ts'

type Db = Kysely<TeamsTables>

const TOKEN_BYTES = 32
const columns = ['id', 'email', 'role', 'created_at', 'expires_at'] as const
const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()

export function listInvitations(db: Db, tenantId: string) {
  return db
    .selectFrom('invitation')
    .select(columns)
    .where('tenant_id', '=', tenantId)
    .where('expires_at', '>', new Date())
    .orderBy('email')
    .limit(limits.invitationsMax)
    .execute()
}

/**
 * Asks somebody by mail to become a member. Asked again, the earlier mail is void.
 *
 * @throws ProblemError `ROLE_INSUFFICIENT` for a role above the caller's, `TOO_MANY_INVITATIONS`, `QUOTA_EXCEEDED`
 */
export async function invite(
  services: Services,
  db: Db,
  standing: Standing & { readonly by: string | null },
  { email, role }: { readonly email: string; readonly role: Role },
) {
  const { mailer, tenancy, appUrl } = services
  if (!reaches(standing.role, role)) throw forbidden(role)
  await assertRoom(services, standing.tenantId, 'members')
  if ((await listInvitations(db, standing.tenantId)).length >= limits.invitationsMax) {
    throw new ProblemError(
      409,
      'TOO_MANY_INVITATIONS',
      `There are ${limits.invitationsMax}; revoke one first`,
    )
  }
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const values = {
    role,
    digest: digestOf(token),
    invited_by: standing.by,
    expires_at: new Date(Date.now() + limits.invitationMs),
    signed_up_at: null,
  }
  const made = await db
    .insertInto('invitation')
    .values({ tenant_id: standing.tenantId, email, ...values })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'email']).doUpdateSet(values))
    .returning(columns)
    .executeTakeFirstOrThrow()
  const { name } = await tenancy.tenants.get(standing.tenantId)
  await mailer.send({
    to: email,
    subject: `You are invited to ${name.replace(/\s+/g, ' ')}`,
    text: `Accept: ${appUrl}/accept-invitation?token=${token}`,
  })
  return made
}

/** @returns whether there was such an invitation */
export async function revoke(db: Db, tenantId: string, id: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('invitation')
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Whoever has no account any more is not kept as somebody who was asked. */
export async function forgetInvited(db: Db, email: string): Promise<void> {
  await db.deleteFrom('invitation').where('email', '=', email.toLowerCase()).execute()
}

/**
 * Lets whom an invitation was sent to sign up, once; whether the address is theirs is for the mail that confirms it.
 *
 * @returns false for any other address or token
 */
export async function signUpInvited(
  db: Db,
  { email, token }: { readonly email: string; readonly token: string },
  signUp: () => Promise<unknown>,
): Promise<boolean> {
  const mine = { digest: digestOf(token), email: email.toLowerCase() }
  // Taken before, not under a lock meanwhile: signing up needs further connections of the same pool.
  const { numUpdatedRows } = await db
    .updateTable('invitation')
    .set({ signed_up_at: new Date() })
    .where('digest', '=', mine.digest)
    .where('email', '=', mine.email)
    .where('expires_at', '>', sql<Date>`now()`)
    .where('signed_up_at', 'is', null)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return false
  try {
    await signUp()
  } catch (error) {
    await db.updateTable('invitation').set({ signed_up_at: null }).where('digest', '=', mine.digest).execute()
    throw error
  }
  return true
}

/**
 * Makes whom an invitation was sent to a member. Whoever else has the token gets nothing: the address must be theirs.
 *
 * @returns id of the tenant
 * @throws ProblemError `INVITATION_INVALID`, `EMAIL_DIFFERS`, `ALREADY_MEMBER`, `QUOTA_EXCEEDED`
 */
export async function accept(services: Services, db: Db, person: Person, token: string) {
  const { tenancy, deliveries } = services
  const tenantId = await db.transaction().execute(async (transaction) => {
    const found = await transaction
      .selectFrom('invitation')
      .select(['id', 'tenant_id', 'email', 'role'])
      .where('digest', '=', digestOf(token))
      .where('expires_at', '>', sql<Date>`now()`)
      // It cannot be revoked meanwhile, nor used twice.
      .forUpdate()
      .executeTakeFirst()
    if (found === undefined) {
      throw new ProblemError(404, 'INVITATION_INVALID', 'The invitation was used, revoked or has expired')
    }
    if (!person.emailVerified || person.email.toLowerCase() !== found.email) {
      throw new ProblemError(403, 'EMAIL_DIFFERS', 'The invitation was sent to another address')
    }
    const known = await tenancy.members.find(found.tenant_id, person.id)
    if (known?.active) throw new ProblemError(409, 'ALREADY_MEMBER', 'You are a member already')
    await assertRoom(services, found.tenant_id, 'members')
    const { id: userId, name, email } = person
    await tenancy.members.put(found.tenant_id, { userId, name, email, role: found.role })
    await transaction.deleteFrom('invitation').where('id', '=', found.id).execute()
    return found.tenant_id
  })
  deliveries.request()
  return tenantId
}
