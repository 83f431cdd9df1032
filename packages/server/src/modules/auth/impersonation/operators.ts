import { QuickScaleError, type Tenancy } from '@quickscale/tenancy'
import { type Kysely, sql, type Transaction } from 'kysely'
import { type Caller, unauthenticated } from '../../../http/access.ts'
import { ProblemError } from '../../../http/problem-error.ts'
import { requireSession } from '../session-only.ts'
import type { AuthTables } from '../tables.ts'

type Db = Kysely<AuthTables>
type Catalog = Pick<Tenancy, 'controlPlane'>

/** A member of staff who may act as users. */
export interface Operator {
  readonly userId: string
  readonly name: string
  readonly email: string
  readonly grantedAt: Date
}

/**
 * Makes a user an operator, who may act as users of any tenant: a matter of whoever runs the installation, which no request can do.
 * Repeatable.
 *
 * @param email address of an account that has confirmed it
 * @returns the operator
 * @throws QuickScaleError `ACCOUNT_UNKNOWN` when no account has that confirmed address
 * @example await grantOperator(tenancy, 'support@example.com')
 */
export async function grantOperator({ controlPlane }: Catalog, email: string): Promise<Operator> {
  const db = controlPlane.kysely<AuthTables>('auth')
  const user = await findAccount(db, email)
  await db
    .insertInto('operator')
    .values({ user_id: user.id })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const made = (await readOperators(db)).find(({ userId }) => userId === user.id)
  if (made === undefined) throw new QuickScaleError('ACCOUNT_UNKNOWN', { email })
  return made
}

/**
 * Takes the right away; what the operator does as a user ends with it, in every process, with the next request. Repeatable.
 *
 * @param email address of the operator's account
 * @returns whether they were an operator
 * @throws QuickScaleError `ACCOUNT_UNKNOWN` when there is no such account
 * @example await revokeOperator(tenancy, 'support@example.com')
 */
export async function revokeOperator({ controlPlane }: Catalog, email: string): Promise<boolean> {
  const db = controlPlane.kysely<AuthTables>('auth')
  const { id } = await findAccount(db, email)
  const { numDeletedRows } = await db.deleteFrom('operator').where('user_id', '=', id).executeTakeFirst()
  return numDeletedRows > 0n
}

/**
 * All operators, by name.
 *
 * @example console.table(await listOperators(tenancy))
 */
export async function listOperators({ controlPlane }: Catalog): Promise<readonly Operator[]> {
  return await readOperators(controlPlane.kysely<AuthTables>('auth'))
}

async function readOperators(db: Db): Promise<readonly Operator[]> {
  return await db
    .selectFrom('operator')
    .innerJoin('user', 'user.id', 'operator.user_id')
    .select(['user_id as userId', 'name', 'email', 'granted_at as grantedAt'])
    .orderBy('name')
    .orderBy('user_id')
    .execute()
}

async function findAccount(db: Db, email: string) {
  const found = await db
    .selectFrom('user')
    .select('id')
    .where('email', '=', email.toLowerCase())
    .where('email_verified', '=', true)
    .executeTakeFirst()
  if (found === undefined) throw new QuickScaleError('ACCOUNT_UNKNOWN', { email })
  return found
}

/**
 * What one operator asks for at the same moment is done one after the other, until the transaction ends.
 *
 * @throws ProblemError `OPERATOR_REQUIRED`
 */
export async function lockOperator(transaction: Transaction<AuthTables>, userId: string): Promise<void> {
  const found = await transaction
    .selectFrom('operator')
    .select('user_id')
    .where('user_id', '=', userId)
    .forNoKeyUpdate()
    .executeTakeFirst()
  if (found === undefined) throw required()
}

const required = () =>
  new ProblemError(403, 'OPERATOR_REQUIRED', 'This takes an operator of the installation')

/** An operator who is there: signed in, and not only remembered to be. */
export interface PresentOperator {
  readonly operatorId: string
  readonly sessionId: string
}

/** @throws ProblemError `SESSION_REQUIRED`, `OPERATOR_REQUIRED`; `UNAUTHENTICATED` when the session has ended a moment ago */
export async function requireOperator(db: Db, caller: Caller | null): Promise<PresentOperator> {
  const operatorId = requireSession(caller)
  const found = await db
    .selectFrom('operator')
    .leftJoin('session', (join) =>
      join
        .onRef('session.user_id', '=', 'operator.user_id')
        .on('session.id', '=', caller?.sessionId ?? null)
        .on('session.expires_at', '>', sql<Date>`now()`),
    )
    .select('session.id as sessionId')
    .where('operator.user_id', '=', operatorId)
    .executeTakeFirst()
  if (found === undefined) throw required()
  const { sessionId } = found
  if (sessionId === null) throw unauthenticated()
  return { operatorId, sessionId }
}
