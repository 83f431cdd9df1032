import { readFileSync } from 'node:fs'
import type pg from 'pg'
import type { DatabaseRecord } from '../catalog/places.ts'
import { listTokenKeys } from '../catalog/token-keys.ts'
import { inTransaction } from '../in-transaction.ts'
import { findLayoutFaults, type Wall } from '../layout/compile.ts'
import { sqlFiles } from '../sql-files.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { keyPads, tokenKeyOf } from '../strategies/token-keys.ts'
import type { Fact } from './checks.ts'

const examination = readFileSync(new URL('../../sql/doctor/database.sql', import.meta.url), 'utf8')

/** Roles, rights, keys and gates of a database that tenants live in. */
export async function examineDatabase(
  client: pg.ClientBase,
  workshop: Workshop,
  record: DatabaseRecord,
): Promise<readonly Fact[]> {
  const outdated = await examineVersion(client, record)
  // A template has no login role and no keys; older objects are not what the questions below are about.
  if (outdated.length > 0 || record.kind === 'template') return outdated
  const sealing = (await listTokenKeys(workshop.catalog.db)).find(({ state }) => state === 'sealing')
  const key = tokenKeyOf(workshop.masterKey, record.id, sealing?.id)
  const groups =
    record.kind === 'silo' || record.kind === 'warm'
      ? ['quickscale_runtime', 'quickscale_silo']
      : ['quickscale_runtime']
  const { rows } = await client.query<Fact>(examination, [
    record.loginRole,
    key.id,
    ...keyPads(key.secret),
    groups,
  ])
  return rows
}

async function examineVersion(client: pg.ClientBase, record: DatabaseRecord): Promise<Fact[]> {
  const newest = Math.max(...(await sqlFiles('tenant-database')).map(({ number }) => number))
  const { rows } = await client.query<{ number: number }>(
    'select coalesce(max(number), 0) as number from quickscale.version',
  )
  const found = rows[0]?.number ?? 0
  if (found === newest) return []
  return [{ check: 'objects-outdated', subject: record.name, detail: `${found} instead of ${newest}` }]
}

/** Walls, keys, indexes and rights of one place's tables. */
export async function examineLayout(
  client: pg.ClientBase,
  place: { schema: string; wall: Wall },
): Promise<readonly Fact[]> {
  const faults = await inTransaction(client, () => findLayoutFaults(client, place))
  return faults.map(({ kind, object, reason }) => ({
    check: 'layout-faulty',
    subject: `${place.schema}, ${kind} ${object}`,
    detail: reason,
  }))
}
