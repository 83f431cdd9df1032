import pg from 'pg'
import { type Index, type Operator, quoted } from '../check/catalog.ts'

/**
 * The operators of which the planner makes a condition of the index, when reading the table from end to end is the last
 * resort. The value comes from a sub-select: a parameter to the planner, which it cannot fold or estimate.
 *
 * @param client in a transaction with enable_seqscan off, under the role whose plan is wanted
 */
export async function servedOperators(
  client: pg.ClientBase,
  index: Index,
  operators: readonly Operator[],
): Promise<Operator[]> {
  if (operators.length === 0) return []
  const served: Operator[] = []
  await client.query('savepoint quickscale_index')
  try {
    await hideOtherIndexes(client, index)
    for (const operator of operators) if (await usesIndex(client, index, operator)) served.push(operator)
  } finally {
    await client.query('rollback to savepoint quickscale_index; release savepoint quickscale_index')
  }
  return served
}

async function usesIndex(client: pg.ClientBase, index: Index, operator: Operator): Promise<boolean> {
  const value = `(select null::${operator.operand ?? operator.leadingType} offset 0)`
  const condition = `(${operator.leading}) ${operator.written} ${value}`
  const predicate = index.predicate === null ? '' : ` and (${index.predicate})`
  await client.query('savepoint quickscale_plan')
  try {
    const { rows } = await client.query(
      `explain (format json) select from ${quoted(index.schema, index.table)} where ${condition}${predicate}`,
    )
    await client.query('release savepoint quickscale_plan')
    return conditionsOf(rows[0]?.['QUERY PLAN']).some(namesMoreThanTenant)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error
    await client.query('rollback to savepoint quickscale_plan; release savepoint quickscale_plan')
    return false
  }
}

/** Of several indexes that begin with tenant_id, the planner takes any for a small table; undone with the savepoint. */
async function hideOtherIndexes(client: pg.ClientBase, index: Index): Promise<void> {
  const { rows } = await client.query<{ role: string }>("select current_setting('role') as role")
  const relation = pg.escapeLiteral(quoted(index.schema, index.table))
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
