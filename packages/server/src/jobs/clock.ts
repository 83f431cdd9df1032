import { sql } from 'kysely'
import type { TurnSurroundings } from './turn.ts'

const PAGE = 1_000

type TenantPage = Awaited<ReturnType<TurnSurroundings['tenancy']['tenants']['list']>>

interface PlatformTables {
  job_schedule: { name: string; last_run: Date }
}

/**
 * Has every tenant look at what is due by the clock, when something is: once per moment, whoever asks. Suspended tenants are
 * among them: they find it when they are back.
 */
export async function handOut({
  tenancy,
  queue,
  occurrences,
}: Pick<TurnSurroundings, 'tenancy' | 'queue' | 'occurrences'>): Promise<void> {
  const db = tenancy.controlPlane.kysely<PlatformTables>('platform')
  const due = occurrences(new Date())
  if (due.length === 0) return
  const known = new Map(
    (await db.selectFrom('job_schedule').selectAll().execute()).map(({ name, last_run }) => [name, last_run]),
  )
  const fresh = due.filter(({ name, at }) => (known.get(name)?.getTime() ?? 0) < at.getTime())
  if (fresh.length === 0) return
  for (let after: string | null = ''; after !== null; ) {
    const page: TenantPage = await tenancy.tenants.list({ limit: PAGE, ...(after !== '' && { after }) })
    const living = page.tenants.filter(({ state }) => state === 'active' || state === 'suspended')
    if (living.length > 0) await queue.wake(living.map(({ id }) => id))
    after = page.next
  }
  // Afterwards: what is interrupted before is done again, and nobody is forgotten.
  await db
    .insertInto('job_schedule')
    .values(fresh.map(({ name, at }) => ({ name, last_run: at })))
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({
        last_run: sql`greatest(job_schedule.last_run, excluded.last_run)`,
      }),
    )
    .execute()
}
