import { findAffectedIndexes } from '@quickscale/tenancy/layout'
import type pg from 'pg'
import { type Index, type Operator, searchPath } from '../check/catalog.ts'
import type { Mapping } from '../check/mapping.ts'
import type { Original } from '../check/original.ts'
import type { Residence, TenantPlace } from '../check/places.ts'
import { connected } from '../check/stage.ts'
import type { AffectedIndexReport, Difference } from '../report.ts'
import { servedOperators } from './plans.ts'

/** The operators for which the planner uses an index of the original. */
export type IndexUse = ReadonlyMap<Index, readonly Operator[]>

export async function readIndexUse(original: Original): Promise<IndexUse> {
  return await connected(original.url, (client) =>
    inPlannerTransaction(client, { schemas: original.schemas, role: null }, async () => {
      const use = new Map<Index, readonly Operator[]>()
      for (const index of original.catalog.indexes) {
        use.set(index, await servedOperators(client, index, index.operators))
      }
      return use
    }),
  )
}

/**
 * Compares with a place: each operator that could use an index still can, or the index is known to be affected. Only
 * EXPLAIN without ANALYZE, which reads no row: so the context of the policy is never asked for, and the group role of
 * the tenants' logins sees their plans. In a tenant's own database the policy is a constant that planning folds away;
 * there the migration role, for which no policy is, has the same plans.
 */
export async function compareIndexes(
  use: IndexUse,
  { strategy }: Residence,
  place: TenantPlace,
  mapping: Mapping,
): Promise<{ differences: Difference[]; affected: AffectedIndexReport[] }> {
  const role = strategy === 'database' ? 'quickscale_migrator' : 'quickscale_runtime'
  return await connected(place.url, async (client) => {
    const known = await findAffectedIndexes(client, { schema: place.schema, wall: place.wall })
    const lost = await inPlannerTransaction(client, { schemas: [place.schema], role }, async () => {
      const found: { index: Index; copy: Index; operators: string[] }[] = []
      for (const [index, operators] of use) {
        const copy = mapping.findIndex(index)
        if (!copy) continue
        const present = operators.map((wanted) => findOperator(copy, wanted))
        const served = new Set(
          await servedOperators(
            client,
            copy,
            present.filter((operator) => operator !== undefined),
          ),
        )
        const unused = operators.flatMap(({ name }, at) => {
          const operator = present[at]
          return operator !== undefined && served.has(operator) ? [] : [name]
        })
        if (unused.length > 0) found.push({ index, copy, operators: [...new Set(unused)] })
      }
      return found
    })
    const differences: Difference[] = []
    const affected: AffectedIndexReport[] = []
    for (const { index, copy, operators } of lost) {
      const explained = known.find((item) => item.index === copy.name)
      const unexplained = operators.filter((name) => !explained?.operators.includes(name))
      if (unexplained.length > 0)
        differences.push({
          kind: 'plan',
          object: `${index.schema}.${index.name}`,
          expected: `${unexplained.join(' ')} as a condition of the index`,
          found: 'evaluated for every row',
        })
      if (explained && unexplained.length < operators.length) {
        const { reason, remedies } = explained
        affected.push({ index: index.name, table: index.table, strategy, operators, reason, remedies })
      }
    }
    return { differences, affected }
  })
}

/** The same operator on the other side; of several types it may have different oids, never another name. */
function findOperator({ operators }: Index, wanted: Operator): Operator | undefined {
  const alike = operators.filter(({ name }) => name === wanted.name)
  return alike.find(({ operand }) => operand === wanted.operand) ?? alike[0]
}

async function inPlannerTransaction<T>(
  client: pg.Client,
  { schemas, role }: { schemas: readonly string[]; role: string | null },
  work: () => Promise<T>,
): Promise<T> {
  // Before 18 what is off is priced out of reach, and such a price makes the server compile every statement (jit).
  await client.query(
    `begin; set local enable_seqscan = off; set local jit = off; set local search_path to ${searchPath(schemas)}`,
  )
  if (role !== null) await client.query(`set local role ${role}`)
  try {
    return await work()
  } finally {
    await client.query('rollback')
  }
}
