import pg from 'pg'
import { type Index, type Operator, quoted } from '../check/catalog.ts'

/**
 * Whether the planner makes a condition of `operator` one of an index, when reading the table from end to end is the
 * last resort. The value comes from a sub-select: a parameter to the planner, which it cannot fold or estimate.
 *
 * @param client in a transaction with enable_seqscan off, under the role whose plan is wanted
 * @returns null when there is no such plan to ask for
 */
export async function usesIndex(
  client: pg.ClientBase,
  { schema, table }: { schema: string; table: string },
  index: Index,
  operator: Operator,
): Promise<boolean | null> {
  const value = `(select null::${operator.operand ?? operator.leadingType} offset 0)`
  const condition = `(${operator.leading}) ${operator.written} ${value}`
  const predicate = index.predicate === null ? '' : ` and (${index.predicate})`
  await client.query('savepoint quickscale_plan')
  try {
    await hideOtherIndexes(client, { schema, table }, index)
    const { rows } = await client.query(
      `explain (format json) select from ${quoted(schema, table)} where ${condition}${predicate}`,
    )
    return conditionsOf(rows[0]?.['QUERY PLAN']).some(namesMoreThanTenant)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    return null
  } finally {
    await client.query('rollback to savepoint quickscale_plan; release savepoint quickscale_plan')
  }
}

/** Of several indexes that begin with tenant_id, the planner takes any for a small table; undone with the savepoint. */
async function hideOtherIndexes(
  client: pg.ClientBase,
  { schema, table }: { schema: string; table: string },
  index: Index,
): Promise<void> {
  const { rows } = await client.query<{ role: string }>("select current_setting('role') as role")
  const relation = pg.escapeLiteral(quoted(schema, table))
  const kept = pg.escapeLiteral(quoted(index.schema, index.name))
  await client.query(
    `reset role;
     update pg_catalog.pg_index set indisvalid = false
      where (indrelid = ${relation}::regclass or indrelid in (select relid from pg_partition_tree(${relation})))
        and indexrelid <> ${kept}::regclass and indexrelid not in (select relid from pg_partition_tree(${kept}));
     set local role ${pg.escapeIdentifier(rows[0]?.role ?? 'none')}`,
  )
}

function conditionsOf(plan: unknown): string[] {
  if (Array.isArray(plan)) return plan.flatMap(conditionsOf)
  if (plan === null || typeof plan !== 'object') return []
  const own = 'Index Cond' in plan ? [String(plan['Index Cond'])] : []
  return [...own, ...Object.values(plan).flatMap(conditionsOf)]
}

/** The policy's own condition uses the index as well, and says nothing. */
function namesMoreThanTenant(condition: string): boolean {
  return !condition.startsWith('(tenant_id = ') || condition.includes(' AND ')
}
