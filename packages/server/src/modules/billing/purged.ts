import type { FastifyBaseLogger } from 'fastify'
import type { Provider } from './provider.ts'
import type { Db } from './tables.ts'

interface Surroundings {
  readonly db: Db
  readonly provider: Pick<Provider, 'end'>
  readonly log: Pick<FastifyBaseLogger, 'warn'>
  readonly closing: AbortSignal
}

/** Ends what is paid for by customers whose organization is forgotten altogether; what fails is tried again later. */
export async function endPurged({ db, provider, log, closing }: Surroundings): Promise<void> {
  for (let after = ''; !closing.aborted; ) {
    const customer = await db.transaction().execute(async (transaction) => {
      const found = await transaction
        .selectFrom('purged')
        .select(['customer', 'tenant_id'])
        .where('customer', '>', after)
        .orderBy('customer')
        .limit(1)
        .forUpdate()
        .skipLocked()
        .executeTakeFirst()
      if (found === undefined) return null
      try {
        await provider.end(found)
        await transaction.deleteFrom('purged').where('customer', '=', found.customer).execute()
      } catch (error) {
        log.warn({ tenant: found.tenant_id, err: error }, 'a subscription of nobody could not be ended')
      }
      return found.customer
    })
    if (customer === null) return
    after = customer
  }
}
