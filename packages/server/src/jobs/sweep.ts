import type { TurnSurroundings } from './turn.ts'

/**
 * Finds tenants whose jobs nobody is to look at any more: a promise was lost, a turn failed for too long, a tenant has come from
 * a backup.
 */
export async function findForgotten({
  tenancy,
  queue,
  log,
}: Pick<TurnSurroundings, 'tenancy' | 'queue' | 'log'>): Promise<void> {
  const waiting: string[] = []
  const text = 'select min(run_at) as due from job where failed_at is null'
  for await (const { tenant, rows, error } of tenancy.fleet.query<{ due: Date | null }>(text)) {
    if (error !== null) log.warn({ tenant: tenant.id, err: error }, 'jobs of a tenant were not looked at')
    const due = rows[0]?.due ?? null
    if (due === null) continue
    if (due <= new Date()) waiting.push(tenant.id)
    else await queue.wakeAt(tenant.id, due)
  }
  if (waiting.length > 0) await queue.wake(waiting)
}
