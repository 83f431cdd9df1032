/**
 * Rotation of the keys that seal tokens, without a request that fails: the new key is added in all databases, which then
 * accept both; then tokens are sealed with it; and when no token of the old key can be alive any more, the old one is
 * taken away. What has been reached stands in the catalog, so that a rotation that was interrupted goes on.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { assertWithin } from '../arguments.ts'
import { recordAudit } from '../catalog/audit.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import { listDatabases } from '../catalog/survey.ts'
import { addTokenKey, listTokenKeys, markRetired, sealWith } from '../catalog/token-keys.ts'
import { limits } from '../limits.ts'
import { tenantOfBrought } from '../server-config.ts'
import { assertMasterKey } from '../strategies/master-key.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { installKeys, removeKey, tokenKeyOf } from '../strategies/token-keys.ts'
import { type BroughtFailure, inEachBrought } from './brought-failures.ts'
import { migrationLock } from './install.ts'

export interface RotationOptions {
  /**
   * Seconds between sealing with the new key and taking the old one away. Shorter is safe too: a token that is refused
   * is sealed anew. At most a day.
   * @defaultValue 120: routes are believed for 30, tokens live for 60
   */
  readonly graceSeconds?: number
  /** Ends the wait; the next call goes on. */
  readonly signal?: AbortSignal
}

/** What a rotation has come to. */
export interface RotationReport {
  /** The generation that tokens are sealed with. */
  readonly sealing: string
  /** Those that no database accepts any more, since this call. */
  readonly retired: readonly string[]
  /** Tenants whose brought database was left out: migrate() gives it the keys when it is back. */
  readonly failed: readonly BroughtFailure[]
}

/** Maintenance of the keys that are derived from the master key. */
export interface Keys {
  /**
   * Replaces the keys that seal tokens, or goes on with a replacement that was interrupted. Tenants are served all the
   * while; new ones wait while databases are gone through.
   *
   * @throws QuickScaleError `NOT_INSTALLED`, `MASTER_KEY_WRONG`, `CATALOG_UNREACHABLE`, `LOCK_LOST`, `ARGUMENT_INVALID`
   * @example
   * const { sealing } = await tenancy.keys.rotate()
   */
  rotate(options?: RotationOptions): Promise<RotationReport>
}

export function createKeys(workshop: Workshop): Keys {
  return { rotate: (options) => rotateKeys(workshop, options) }
}

async function rotateKeys(workshop: Workshop, options: RotationOptions = {}): Promise<RotationReport> {
  assertWithin('graceSeconds', options.graceSeconds, 0, limits.tokenKeyGraceSecondsMax)
  const { db } = workshop.catalog
  const missed = await workshop.catalog.locked({ exclusive: migrationLock }, async (assertHeld) => {
    await assertMasterKey(workshop)
    if ((await listTokenKeys(db)).some(({ state }) => state === 'retiring')) return []
    const id = await addTokenKey(db)
    const failed = await inEachDatabase(workshop, (client, databaseId) =>
      installKeys(client, tokenKeyOf(workshop.masterKey, databaseId, id)),
    )
    await assertHeld()
    await sealWith(db, id)
    await recordAudit(db, { action: 'keys.sealing', tenantId: null, details: { key: id } })
    return failed
  })
  await sleep((options.graceSeconds ?? limits.tokenKeyGraceSeconds) * 1000, undefined, {
    ...(options.signal && { signal: options.signal }),
  })
  return await workshop.catalog.locked({ exclusive: migrationLock }, async () => {
    const keys = await listTokenKeys(db)
    const retiring = keys.filter(({ state }) => state === 'retiring')
    const failed = [...missed]
    for (const { id } of retiring) {
      const unreached = await inEachDatabase(workshop, (client) => removeKey(client, id))
      const known = new Set(failed.map(({ tenantId }) => tenantId))
      failed.push(...unreached.filter(({ tenantId }) => !known.has(tenantId)))
      await markRetired(db, id)
      await recordAudit(db, { action: 'keys.retired', tenantId: null, details: { key: id } })
    }
    const sealing = keys.find(({ state }) => state === 'sealing')
    return { sealing: sealing?.id ?? '', retired: retiring.map(({ id }) => id), failed }
  })
}

type DatabaseWork = (client: Parameters<typeof installKeys>[0], databaseId: string) => Promise<void>

async function inEachDatabase(workshop: Workshop, work: DatabaseWork): Promise<BroughtFailure[]> {
  const brought: DatabaseRecord[] = []
  const one = (record: DatabaseRecord) =>
    workshop.servers.connected(record, (client) => work(client, record.id))
  let after: string | null = null
  do {
    const page: DatabaseRecord[] = await listDatabases(workshop.catalog.db, after, limits.tenantsPerPageMax)
    for (const record of page) {
      if (record.kind === 'template') continue
      if (record.brought) brought.push(record)
      else await one(record)
    }
    after = page.length === limits.tenantsPerPageMax ? (page.at(-1)?.id ?? null) : null
  } while (after !== null)
  return await inEachBrought(brought, ({ server }) => tenantOfBrought(server), one)
}
