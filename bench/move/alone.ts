import type { MoveProgress } from '@quickscale/tenancy'
import type { BenchInstallation, BenchTenant } from '../installation.ts'
import type { Mover, SeenMove } from './mover.ts'

/** What is caught up with to see how fast that goes. */
const burst = { transactions: 400, rows: 50 }

/** Nobody writes beside the copy; what is to be caught up with is written as soon as that is complete. */
export async function moveAlone(
  { tenancy }: BenchInstallation,
  mover: Mover,
  { slug }: BenchTenant,
  { rows, signal }: { readonly rows: number; readonly signal: AbortSignal },
): Promise<{ readonly move: SeenMove; readonly acknowledged: Set<string> }> {
  const acknowledged = new Set<string>()
  const write = async () => {
    for (let count = 0; count < burst.transactions; count += 1) {
      const written = await tenancy.tenant(slug).query(
        `insert into message (id, name, email)
         select gen_random_uuid(), $1, n || '@example.com' from generate_series(1, $2::int) as n returning id`,
        [slug, burst.rows],
      )
      for (const { id } of written.rows) acknowledged.add(id)
    }
  }
  let writing: Promise<void> | undefined
  const onProgress = ({ rowsCopied = 0 }: MoveProgress) => {
    if (rowsCopied >= rows) writing ??= write()
  }
  const move = await mover.move({ slug, to: 'database', copyShare: 1 }, { signal, onProgress })
  await writing
  return { move, acknowledged }
}
