import { findBroughtServer, replaceBroughtAddress } from '../catalog/brought-databases.ts'
import type { Chosen } from '../catalog/reservations.ts'
import { QuickScaleError } from '../errors.ts'
import { broughtServerName } from '../server-config.ts'
import { sealBroughtUrl } from '../strategies/brought-servers.ts'
import { broughtServerTraits } from '../strategies/servers.ts'
import { installationNames, type Place, type Workshop } from '../strategies/strategy.ts'
import { findExclusion, type Wish } from './choose.ts'
import { type Offer, parseBroughtUrl } from './offer.ts'

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
 * @throws QuickScaleError `DATABASE_URL_INVALID`, `TENANT_INVALID`, `PLACEMENT_REFUSED`
 */
export function assertBringable(wish: Wish, { url }: BroughtDatabase): void {
  parseBroughtUrl(url)
  if (wish.strategy !== 'database') throw new QuickScaleError('TENANT_INVALID', { field: 'database' })
  const [region] = wish.regions
  const candidate = { ...broughtServerTraits, server: 'the brought one', region, shared: [], silos: 0 }
  const exclusion = findExclusion({ ...candidate, private: false }, wish)
  if (exclusion === null) return
  const reasons = `${exclusion.server} ${exclusion.reason}`
  throw new QuickScaleError('PLACEMENT_REFUSED', { reasons, excluded: [exclusion] })
}

/** A brought database as the place of a tenant; nothing is recorded yet. */
export async function takeBrought(
  { installation, keyProvider }: Workshop,
  tenantId: string,
  { url, host, port, identity, databaseName }: Offer,
): Promise<Chosen> {
  const server = broughtServerName(tenantId)
  const credential = await sealBroughtUrl(keyProvider, server, url)
  return {
    strategy: 'database',
    server,
    database: databaseName,
    login: installationNames(installation).silo(tenantId),
    kind: 'silo',
    schema: 'app',
    brought: { identity, credential, host, port },
  }
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
