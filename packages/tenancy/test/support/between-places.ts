import type pg from 'pg'
import { expect } from 'vitest'
import type { MoverProcess } from '../../../../test/support/mover-process.ts'
import type { TestInstallation } from './installation.ts'

/** Until the place that the catalog names says so. */
export async function untilFence(
  installation: TestInstallation,
  tenantId: string,
  state: string,
): Promise<void> {
  for (;;) {
    const { rows } = await installation.asOwner(
      tenantId,
      'select from quickscale.placement where tenant_id = $1 and state = $2',
      [tenantId, state],
    )
    if (rows.length > 0) return
  }
}

export async function untilState(
  installation: TestInstallation,
  tenantId: string,
  state: string,
  mover: MoverProcess,
): Promise<void> {
  for (;;) {
    const { rows } = await installation.inCatalog(
      'select id, state, source_database from catalog.move where tenant_id = $1',
      [tenantId],
    )
    if (rows[0]?.state === state) return
    // The source knows first that its tenant has been switched.
    if (state === 'switched' && rows[0] !== undefined) {
      const ends = await installation.inDatabase(
        rows[0].source_database,
        "select from quickscale.move_end where move_id = $1 and role = 'source' and state in ('switched', 'active')",
        [rows[0].id],
      )
      if (ends.rowCount === 1) return
    }
    expect(mover.answers).toEqual([])
  }
}

export async function leaseOf(installation: TestInstallation, key: string): Promise<number> {
  const { id } = await installation.tenancy.moves.get(key)
  return (await installation.inCatalog('select lease from catalog.move where id = $1', [id])).rows[0].lease
}

/** A connection that lets the tenant's move come as far as `streaming`. */
export async function keepFromSwitch(installation: TestInstallation, key: string): Promise<pg.Client> {
  const { databaseName } = await installation.tenancy.tenants.placement(key)
  const client = await installation.connectTo(databaseName)
  await client.query("select pg_advisory_lock_shared(hashtextextended('quickscale unscoped writers', 0))")
  return client
}

/** @returns the id of a move that streams, and that nobody works on */
export async function leaveStreaming({ tenancy }: TestInstallation, key: string): Promise<string> {
  const stop = new AbortController()
  const started = tenancy.moves.start(key, {
    to: 'rls',
    rollbackWindowMs: 0,
    copyShare: 1,
    signal: stop.signal,
    handOver: true,
    onProgress: ({ state }) => {
      if (state === 'streaming') stop.abort()
    },
  })
  await expect(started).rejects.toThrow()
  return (await tenancy.moves.get(key)).id
}

/** Lets a tenant be switched, whose next place somebody keeps closed: the last one of `held`. */
export async function departAndStay(
  installation: TestInstallation,
  key: string,
  {
    held,
    inside,
    mover,
    next = { in: `${installation.name}_pool`, state: 'streaming' },
  }: {
    held: pg.Client[]
    inside: pg.Client | undefined
    mover: MoverProcess
    next?: { in: string; state: string }
  },
): Promise<void> {
  const { id: tenantId } = await installation.tenancy.tenants.get(key)
  await untilState(installation, tenantId, next.state, mover)
  const blocker = await installation.connectTo(next.in)
  held.push(blocker)
  await blocker.query('begin')
  await blocker.query('select from quickscale.placement where tenant_id = $1 for update', [tenantId])
  await inside?.end()
  await untilFence(installation, tenantId, 'moved')
}
