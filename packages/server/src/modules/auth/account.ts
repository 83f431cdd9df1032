import { QuickScaleError } from '@quickscale/tenancy'
import type { Kysely } from 'kysely'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import type { AuthTables } from './tables.ts'

type Db = Kysely<AuthTables>
type Surroundings = Pick<Services, 'tenancy'> & {
  readonly deliveries: Pick<Services['deliveries'], 'request'>
}
type Deleting = Surroundings & Pick<Services, 'onDeletion' | 'log'>

/** Carries what somebody is called now into every tenant of theirs. */
export async function renameEverywhere(
  { tenancy, deliveries }: Surroundings,
  { id: userId, name, email }: { readonly id: string; readonly name: string; readonly email: string },
): Promise<void> {
  for (let after = ''; ; ) {
    const page = await tenancy.members.tenantsOf(userId, { after })
    for (const { tenant, role } of page) await tenancy.members.put(tenant.id, { userId, name, email, role })
    const last = page.at(-1)
    if (last === undefined) break
    after = last.tenant.slug
  }
  deliveries.request()
}

/**
 * Takes an account away: noted first, then forgotten in every tenant, then gone here, with sessions and keys. Each step may
 * be repeated; {@link resumeDeletions} does so after a crash.
 */
export async function deleteAccount(surroundings: Deleting, db: Db, userId: string): Promise<void> {
  await db
    .insertInto('deletion')
    .values({ user_id: userId })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await finishDeletion(surroundings, db, userId)
}

/** Goes on with account deletions that were interrupted; one that fails is tried again in the next round. */
export async function resumeDeletions(surroundings: Deleting, db: Db): Promise<number> {
  const due = await db
    .selectFrom('deletion')
    .select('user_id')
    .orderBy('asked_at')
    .limit(limits.deletionsResumedMax)
    .execute()
  let finished = 0
  for (const { user_id } of due) {
    try {
      await finishDeletion(surroundings, db, user_id)
      finished += 1
    } catch (error) {
      surroundings.log.warn({ err: error, user: user_id }, 'an account waits for its deletion')
    }
  }
  return finished
}

async function finishDeletion(
  { tenancy, deliveries, onDeletion }: Deleting,
  db: Db,
  userId: string,
): Promise<void> {
  const person = await db
    .selectFrom('user')
    .select(['id', 'email'])
    .where('id', '=', userId)
    .executeTakeFirst()
  if (person !== undefined) for (const forget of onDeletion) await forget(person)
  try {
    await tenancy.members.anonymise(userId)
  } catch (error) {
    const nowhere = error instanceof QuickScaleError && error.code === 'MEMBER_NOT_FOUND'
    if (!nowhere) throw error
  }
  await db.transaction().execute(async (transaction) => {
    // What was mailed to choose a password with, devices that were trusted: better-auth keeps whose they are as the value.
    await transaction.deleteFrom('verification').where('value', '=', userId).execute()
    await transaction.deleteFrom('user').where('id', '=', userId).execute()
    await transaction.deleteFrom('deletion').where('user_id', '=', userId).execute()
  })
  deliveries.request()
}
