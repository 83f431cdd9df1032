import { listCommonDatabases } from '../catalog/survey.ts'
import { applicationLogin } from '../strategies/databases.ts'
import { assertMasterKey, fingerprintOf } from '../strategies/master-key.ts'
import type { Workshop } from '../strategies/strategy.ts'

/**
 * The first migration of an installation says which key it is made with; one that is older than the fingerprint, whose key
 * can read what is stored. Afterwards as {@link assertMasterKey}.
 *
 * @throws QuickScaleError `MASTER_KEY_WRONG`, `CREDENTIAL_UNREADABLE`
 */
export async function claimMasterKey(workshop: Workshop): Promise<void> {
  const { db } = workshop.catalog
  const known = await db.selectFrom('master_key').select('fingerprint').executeTakeFirst()
  if (known === undefined) {
    const made = (await listCommonDatabases(db)).find(({ ready, kind }) => ready && kind === 'shared')
    if (made !== undefined) await applicationLogin(workshop.keyProvider, made)
    await db
      .insertInto('master_key')
      .values({ fingerprint: fingerprintOf(workshop.masterKey) })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
  await assertMasterKey(workshop)
}
