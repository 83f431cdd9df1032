import { readFileSync } from 'node:fs'
import type pg from 'pg'
import type { DatabaseRecord } from '../catalog/places.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { findOfferUnsuitability } from '../placements/offer.ts'
import { type Administrator, findServerUnsuitability, unreachable } from '../strategies/administrator.ts'
import type { Fact } from './checks.ts'

const examination = readFileSync(new URL('../../sql/doctor/server.sql', import.meta.url), 'utf8')

/** A quarter of a token's life would still be harmless; this much says that nobody sets the clock. */
const clockOffsetMsMax = 2_000

/**
 * Version, settings, clock and group roles of the server, and what it keeps of its log.
 *
 * @param slotRetainedBytes from how many on a replication slot is worth a word
 * @throws QuickScaleError `SERVER_UNREACHABLE`
 */
export async function examineServer(
  administrator: Administrator,
  slotRetainedBytes?: number,
): Promise<readonly Fact[]> {
  const { host, port } = administrator
  try {
    return await administrator.connected(administrator.maintenanceDatabase, (client) =>
      examine(client, host, `${host}:${port}`, slotRetainedBytes),
    )
  } catch (cause) {
    if (cause instanceof QuickScaleError) throw cause
    throw unreachable(`${host}:${port}`, cause)
  }
}

/** The same of the server of a brought database. Its role need not be able to create databases. */
export async function examineBroughtServer(
  client: pg.ClientBase,
  { host, port }: Pick<DatabaseRecord, 'host' | 'port'>,
): Promise<readonly Fact[]> {
  const reason = await findOfferUnsuitability(client)
  const facts = await examine(client, host, `${host}:${port}`)
  return [
    ...(reason === null ? [] : [{ check: 'administrator-unsuitable', subject: host, detail: reason }]),
    ...facts.filter(({ check }) => check !== 'administrator-unsuitable'),
  ]
}

async function examine(
  client: pg.ClientBase,
  host: string,
  server: string,
  slotRetainedBytes: number = limits.slotRetainedBytesNoted,
): Promise<readonly Fact[]> {
  const reason = await findServerUnsuitability(client)
  const { rows } = await client.query<Fact>(examination, [slotRetainedBytes])
  const askedAtMs = Date.now()
  const clock = await client.query<{ ms: string }>(
    'select extract(epoch from clock_timestamp()) * 1000 as ms',
  )
  const offsetMs = Math.round(Number(clock.rows[0]?.ms) - (askedAtMs + Date.now()) / 2)
  return [
    ...(reason === null ? [] : [{ check: 'administrator-unsuitable', subject: host, detail: reason }]),
    ...(Math.abs(offsetMs) <= clockOffsetMsMax
      ? []
      : [{ check: 'clock-offset', subject: server, detail: String(offsetMs) }]),
    ...rows,
  ]
}
