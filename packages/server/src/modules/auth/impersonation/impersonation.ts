import { createHash, randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Caller } from '../../../http/access.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import { limits } from '../../../limits.ts'
import type { Services } from '../../module.ts'
import type { AuthTables } from '../tables.ts'
import { note, noteRefusal } from './notes.ts'
import { lockOperator, type PresentOperator } from './operators.ts'

// An operator asks for a token to act as one user in one tenant, and redeems it once for a credential. Both are worthless without
// what they were made for: every use asks auth.valid_impersonation, the operator's session included, nothing is remembered. Whatever begins has its line in the
// tenant's log before the secret leaves.

type Db = Kysely<AuthTables>
type Surroundings = Pick<Services, 'tenancy' | 'platformLog' | 'gate'> & { readonly db: Db }

const TOKEN_PREFIX = 'qsit_'
/** What a credential begins with: no API key and no token (JWT) does. */
export const CREDENTIAL_PREFIX = 'qsic_'
const SECRET_BYTES = 32

const makeSecret = (prefix: string): string => prefix + randomBytes(SECRET_BYTES).toString('base64url')
/** 256 random bits need no slow hash. */
const digestOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()
const secondsFromNow = (seconds: number) => sql<Date>`now() + ${seconds} * interval '1 second'`

/** Who asks, by which request. */
export interface Asking extends PresentOperator {
  readonly requestId: string
}

interface Wanted {
  /** Slug or id. */
  readonly organization: string
  /** Id or e-mail address. */
  readonly user: string
  readonly reason: string
}

/**
 * Makes a token for one user in one tenant, with its line in the tenant's log.
 *
 * @throws ProblemError `NOT_FOUND` for whoever is no member there, or an operator; `TOO_MANY_IMPERSONATIONS`; `OPERATOR_REQUIRED` for
 *   who is none any more
 * @throws QuickScaleError `TENANT_KEY_INVALID`, `TENANT_SUSPENDED` and the like
 */
export async function askToImpersonate(
  surroundings: Surroundings,
  { operatorId: operator_id, sessionId: session_id, requestId }: Asking,
  { organization, user, reason }: Wanted,
) {
  const { db } = surroundings
  const user_id = await findUser(db, user)
  const standing = user_id === null ? null : await admit(surroundings, organization, user_id)
  if (user_id === null || standing === null) throw nobody()
  const { tenantId: tenant_id } = standing
  const parties = { operator_id, user_id, tenant_id }
  if (await isOperator(db, user_id)) {
    const happening = { action: 'impersonation.ask', requestId, code: 'NOT_FOUND' } as const
    await noteRefusal(surroundings, parties, happening)
    throw nobody()
  }
  const token = makeSecret(TOKEN_PREFIX)
  const made = await db.transaction().execute(async (transaction) => {
    // Counted under the lock: else those who ask at the same moment do not count each other.
    await lockOperator(transaction, operator_id)
    await assertFew(transaction, operator_id)
    return await transaction
      .insertInto('impersonation')
      .values({
        ...parties,
        session_id,
        reason,
        token_digest: digestOf(token),
        expires_at: secondsFromNow(limits.impersonationTokenSeconds),
      })
      .returning(['id', 'expires_at'])
      .executeTakeFirstOrThrow()
  })
  await note(surroundings, { ...parties, id: made.id }, { action: 'impersonation.ask', requestId })
  return { ...made, organization_id: tenant_id, user_id, token }
}

/**
 * Takes a token for a credential: once, within its time, by the operator who asked for it, while all are what they were.
 *
 * @throws ProblemError `TOKEN_REFUSED`, whatever the reason is
 */
export async function redeem(
  surroundings: Surroundings,
  asking: Asking,
  token: string,
  onKnown: (known: { readonly id: string; readonly tenant_id: string }) => void,
) {
  const { db } = surroundings
  const { operatorId, requestId } = asking
  const token_digest = digestOf(token)
  const known = await db
    .selectFrom('impersonation')
    .select(['id', 'operator_id', 'user_id', 'tenant_id'])
    .where('token_digest', '=', token_digest)
    .executeTakeFirst()
  if (known === undefined) throw refused()
  onKnown(known)
  const standing = await admit(surroundings, known.tenant_id, known.user_id)
  const credential = makeSecret(CREDENTIAL_PREFIX)
  const begun = standing && (await begin(db, asking, { token_digest, credential }))
  if (begun === null) {
    const happening = { action: 'impersonation.begin', requestId, code: 'TOKEN_REFUSED' } as const
    await noteRefusal(surroundings, { ...known, operator_id: operatorId }, happening)
    throw refused()
  }
  await note(surroundings, known, { action: 'impersonation.begin', requestId })
  return { id: known.id, organization_id: known.tenant_id, user_id: known.user_id, credential, ...begun }
}

/** One statement: of two at once the second one waits, and then finds it redeemed. */
async function begin(
  db: Db,
  { operatorId, sessionId }: PresentOperator,
  { token_digest, credential }: { readonly token_digest: Buffer; readonly credential: string },
): Promise<{ expires_at: Date } | null> {
  const begun = await db
    .updateTable('impersonation')
    .set({
      redeemed_at: sql<Date>`now()`,
      session_id: sessionId,
      credential_digest: digestOf(credential),
      expires_at: secondsFromNow(limits.impersonationSeconds),
    })
    .where('token_digest', '=', token_digest)
    .where('operator_id', '=', operatorId)
    .where('redeemed_at', 'is', null)
    .where('ended_at', 'is', null)
    .where('id', 'in', (from) => from.selectFrom('valid_impersonation').select('id'))
    .returning('expires_at')
    .executeTakeFirst()
  return begun ?? null
}

/** Who acts by a credential; null for one that is not good, or not any more. One query. */
export async function findImpersonation(db: Db, credential: string): Promise<Caller | null> {
  const found = await db
    .selectFrom('valid_impersonation')
    .select(['id', 'operator_id', 'user_id', 'tenant_id'])
    .where('credential_digest', '=', digestOf(credential))
    .executeTakeFirst()
  if (found === undefined) return null
  const { id: impersonationId, operator_id: impersonator, user_id: userId, tenant_id: tenantId } = found
  return {
    kind: 'impersonation',
    id: userId,
    userId,
    tenantId,
    roleMax: null,
    impersonator,
    impersonationId,
  }
}

/** What the user is in the tenant, by whoever knows that. */
async function admit({ gate }: Surroundings, key: string, userId: string) {
  return await gate.admit(key, { kind: 'session', id: userId, userId, tenantId: null, roleMax: null })
}

async function findUser(db: Db, user: string): Promise<string | null> {
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(user)
  const users = db.selectFrom('user').select('id')
  const found = isId ? users.where('id', '=', user) : users.where('email', '=', user.toLowerCase())
  return (await found.executeTakeFirst())?.id ?? null
}

async function isOperator(db: Db, userId: string): Promise<boolean> {
  const found = await db.selectFrom('operator').select('user_id').where('user_id', '=', userId).execute()
  return found.length > 0
}

async function assertFew(db: Db, operatorId: string): Promise<void> {
  const open = await db
    .selectFrom('valid_impersonation')
    .select('id')
    .where('operator_id', '=', operatorId)
    .limit(limits.impersonationsMax)
    .execute()
  if (open.length < limits.impersonationsMax) return
  throw new ProblemError(409, 'TOO_MANY_IMPERSONATIONS', `You have ${open.length} of them; end one first`)
}

const nobody = () => new ProblemError(404, 'NOT_FOUND', 'There is no such user in such an organization')
const refused = () =>
  new ProblemError(403, 'TOKEN_REFUSED', 'This token is good for nothing; ask for another')
