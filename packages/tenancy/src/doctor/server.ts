import { readFileSync } from 'node:fs'
import { type Administrator, findServerUnsuitability } from '../strategies/administrator.ts'
import type { Fact } from './checks.ts'

const examination = readFileSync(new URL('../../sql/doctor/server.sql', import.meta.url), 'utf8')

/** A quarter of a token's life would still be harmless; this much says that nobody sets the clock. */
const clockOffsetMsMax = 2_000

/** Version, settings, clock and group roles of the server. */
export async function examineServer(administrator: Administrator): Promise<readonly Fact[]> {
  return await administrator.connected(administrator.maintenanceDatabase, async (client) => {
    const reason = await findServerUnsuitability(client)
    const { rows } = await client.query<Fact>(examination)
    const askedAtMs = Date.now()
    const clock = await client.query<{ ms: string }>(
      'select extract(epoch from clock_timestamp()) * 1000 as ms',
    )
    const offsetMs = Math.round(Number(clock.rows[0]?.ms) - (askedAtMs + Date.now()) / 2)
    const { host, port } = administrator
    return [
      ...(reason === null ? [] : [{ check: 'administrator-unsuitable', subject: host, detail: reason }]),
      ...(Math.abs(offsetMs) <= clockOffsetMsMax
        ? []
        : [{ check: 'clock-offset', subject: `${host}:${port}`, detail: String(offsetMs) }]),
      ...rows,
    ]
  })
}
