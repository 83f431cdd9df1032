import type { Kysely } from 'kysely'
import {
  findBroughtServer,
  registerBroughtServer,
  replaceBroughtAddress,
} from '../catalog/brought-databases.ts'
import { registerDatabase } from '../catalog/places.ts'
import type { CatalogTables } from '../catalog/tables.ts'
import { QuickScaleError } from '../errors.ts'
import { broughtServerName } from '../server-config.ts'
import { sealBroughtUrl } from '../strategies/brought-servers.ts'
import { broughtServerTraits } from '../strategies/servers.ts'
import { installationNames, type Place, type Workshop } from '../strategies/strategy.ts'
import { findExclusion, type Wish } from './choose.ts'
import type { Offer } from './offer.ts'
import type { Reservation } from './reserve.ts'

/** The database that a customer brings for its tenant. */
export interface BroughtDatabase {
  /**
   * `postgres://` URL of the database, with the role that owns it and may make roles (CREATEROLE, BYPASSRLS; on 15 a
   * superuser). Kept encrypted, never shown.
   */
  readonly url: string
}

/**
 * Refuses a tenant whose plan or rules a brought database cannot fulfil.
 *
 * @throws QuickScaleError `TENANT_INVALID`, `PLACEMENT_REFUSED`
 */
export function assertBringable(wish: Wish): void {
  if (wish.strategy !== 'database') throw new QuickScaleError('TENANT_INVALID', { field: 'database' })
  const [region] = wish.regions
  const candidate = { ...broughtServerTraits, server: 'the brought one', region, shared: [], silos: 0 }
  const exclusion = findExclusion({ ...candidate, private: false }, wish)
  if (exclusion === null) return
  const reasons = `${exclusion.server} ${exclusion.reason}`
  throw new QuickScaleError('PLACEMENT_REFUSED', { reasons, excluded: [exclusion] })
}

/** Registers a brought database for a tenant, in the caller's transaction. @throws QuickScaleError `DATABASE_TAKEN` */
export async function reserveBrought(
  { installation, keyProvider }: Workshop,
  transaction: Kysely<CatalogTables>,
  tenantId: string,
  { url, host, port, identity, databaseName }: Offer,
): Promise<Reservation> {
  const credential = await sealBroughtUrl(keyProvider, broughtServerName(tenantId), url)
  const serverName = await registerBroughtServer(transaction, tenantId, { identity, credential, host, port })
  const database = await registerDatabase(transaction, {
    serverName,
    name: databaseName,
    kind: 'silo',
    loginRole: installationNames(installation).silo(tenantId),
  })
  return { tenantId, place: { database, schemaName: 'app' }, warm: false }
}

/** Whether a place is in the database that is offered. */
export async function isOffered({ catalog }: Workshop, place: Place, { identity }: Offer): Promise<boolean> {
  const known = await findBroughtServer(catalog.db, place.database.server)
  return known?.identity === identity
}

/** From now on the tenant's brought database is reached by this URL. @throws QuickScaleError `DATABASE_TAKEN` */
export async function replaceUrl(
  { catalog, keyProvider }: Workshop,
  tenantId: string,
  { url, host, port, identity, databaseName }: Offer,
): Promise<void> {
  const credential = await sealBroughtUrl(keyProvider, broughtServerName(tenantId), url)
  const address = { identity, credential, host, port }
  await catalog.db.transaction().execute(async (transaction) => {
    await replaceBroughtAddress(transaction, tenantId, databaseName, address)
  })
}
