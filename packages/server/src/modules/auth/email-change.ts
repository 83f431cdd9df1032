import { createHash, randomBytes } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import pg from 'pg'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import { renameEverywhere } from './account.ts'
import type { AuthTables } from './tables.ts'

// An address is changed by whoever knows the password, and only to one whose mail they read. With the change, in one transaction, every
// session ends, and whatever was mailed to the old address to choose a password with. Then each organization follows, through the
// outbox of members; the row goes last, so that a start finds what was interrupted.

type Db = Kysely<AuthTables>
type Surroundings = Pick<Services, 'tenancy' | 'mailer' | 'appUrl' | 'log'> & {
  readonly db: Db
  readonly appName: string
  readonly deliveries: Pick<Services['deliveries'], 'request'>
}

const TOKEN_BYTES = 32
const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest()

/** Mails a token to the new address. Nothing is sent to one that an account has already; nobody can tell. */
export async function askForAddress(
  { db, mailer, appUrl, appName }: Surroundings,
  userId: string,
  address: string,
): Promise<void> {
  const email = address.toLowerCase()
  const taken = await db.selectFrom('user').select('id').where('email', '=', email).executeTakeFirst()
  if (taken !== undefined) return
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const asked = {
    email,
    digest: digestOf(token),
    expires_at: sql<Date>`now() + ${limits.emailChangeSeconds} * interval '1 second'`,
  }
  const { numInsertedOrUpdatedRows = 0n } = await db
    .insertInto('email_change')
    .values({ ...asked, user_id: userId })
    .onConflict((conflict) =>
      conflict
        .column('user_id')
        .doUpdateSet({ ...asked, asked_at: sql<Date>`now()` })
        .where('email_change.confirmed_at', 'is', null),
    )
    .executeTakeFirst()
  if (numInsertedOrUpdatedRows === 0n)
    throw new ProblemError(409, 'CONFLICT', 'The last change of your address is still on its way; try again')
  await mailer.send({
    to: email,
    subject: `${appName}: confirm your new address`,
    text: `Confirm that this is your address: ${appUrl}/change-email?token=${token}\n\nIf you did not ask for this, ignore it.`,
  })
}

/**
 * Gives an account the address that a token was mailed to, ends its sessions, and tells the old address.
 *
 * @returns whose account it is
 * @throws ProblemError `TOKEN_REFUSED` for one that is unknown, used or over, or whose address somebody else has now
 */
export async function confirmAddress(surroundings: Surroundings, token: string): Promise<string> {
  const { db, mailer, log, appName } = surroundings
  const changed = await db
    .transaction()
    .execute((transaction) => change(transaction, digestOf(token)))
    .catch((error: unknown) => {
      if (error instanceof pg.DatabaseError && error.constraint === 'user_email_key') throw refused()
      throw error
    })
  await mailer
    .send({
      to: changed.before,
      subject: `${appName}: your address was changed`,
      text: `Your account has the address ${changed.email} now, and all its sessions have ended. If this was not you, write to whoever runs this application at once.`,
    })
    .catch((error: unknown) => log.warn({ err: error }, 'an old address was not told of the new one'))
  await followAddress(surroundings, changed.userId)
  return changed.userId
}

async function change(transaction: Db, digest: Buffer) {
  const confirmed = await transaction
    .updateTable('email_change')
    .set({ confirmed_at: sql<Date>`now()` })
    .where('digest', '=', digest)
    .where('confirmed_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .returning(['user_id', 'email'])
    .executeTakeFirst()
  if (confirmed === undefined) throw refused()
  const { user_id: userId, email } = confirmed
  const { email: before } = await transaction
    .selectFrom('user')
    .select('email')
    .where('id', '=', userId)
    .forUpdate()
    .executeTakeFirstOrThrow(refused)
  await transaction
    .updateTable('user')
    .set({ email, email_verified: true })
    .where('id', '=', userId)
    .execute()
  await transaction.deleteFrom('session').where('user_id', '=', userId).execute()
  // A mail to the old address that chooses a new password: better-auth keeps whose it is as the value.
  await transaction.deleteFrom('verification').where('value', '=', userId).execute()
  return { userId, email, before }
}

/** Has every organization know the address; repeatable. */
async function followAddress(surroundings: Surroundings, userId: string): Promise<void> {
  const { db } = surroundings
  const user = await db
    .selectFrom('user')
    .select(['id', 'name', 'email'])
    .where('id', '=', userId)
    .executeTakeFirst()
  if (user !== undefined) await renameEverywhere(surroundings, user)
  await db
    .deleteFrom('email_change')
    .where('user_id', '=', userId)
    .where('confirmed_at', 'is not', null)
    .execute()
}

/** Goes on with changes of addresses that were interrupted, and forgets those that nobody has confirmed. */
export async function resumeAddresses(surroundings: Surroundings): Promise<number> {
  const { db } = surroundings
  await db
    .deleteFrom('email_change')
    .where('confirmed_at', 'is', null)
    .where('expires_at', '<', sql<Date>`now()`)
    .execute()
  const due = await db
    .selectFrom('email_change')
    .select('user_id')
    .where('confirmed_at', 'is not', null)
    .orderBy('confirmed_at')
    .limit(limits.deletionsResumedMax)
    .execute()
  for (const { user_id } of due) await followAddress(surroundings, user_id)
  return due.length
}

const refused = () =>
  new ProblemError(403, 'TOKEN_REFUSED', 'This token is good for nothing; ask for another')
