import { readFileSync } from 'node:fs'
import type pg from 'pg'
import type { Wall } from './shape.ts'

const indexOperators = readFileSync(new URL('../../sql/layout/index-operators.sql', import.meta.url), 'utf8')

/** An index that row security keeps from being used for some of its operators. */
export interface AffectedIndex {
  readonly index: string
  readonly table: string
  /** Operators that never become conditions of the index here, as they are written in SQL. */
  readonly operators: readonly string[]
  readonly reason: string
  readonly remedies: readonly string[]
}

interface Row {
  readonly index: string
  readonly table: string
  readonly method: string
  readonly operator: string
  readonly operand: string
  readonly leakproof: boolean
  /** Known to be safe: marked wherever a superuser may. */
  readonly reviewed: boolean
  readonly leakyFunctions: readonly string[]
}

/**
 * Names the indexes of a place that the planner cannot use, or not for each operator, because PostgreSQL evaluates
 * what is not LEAKPROOF only after the policy. Reads the catalogs only. In a database of the tenant's own there is no
 * such policy, and nothing is affected.
 *
 * @param client any connection to the database of the place
 * @example await findAffectedIndexes(client, { schema: 'app', wall: { kind: 'rls' } })
 */
export async function findAffectedIndexes(
  client: pg.ClientBase,
  { schema, wall }: { schema: string; wall: Wall },
): Promise<AffectedIndex[]> {
  if (wall.kind === 'database') return []
  const { rows } = await client.query<Row>(indexOperators, [schema])
  const byIndex = Map.groupBy(rows, ({ index }) => index)
  return [...byIndex.values()].flatMap((found) => describe(found, wall))
}

function describe(rows: readonly Row[], wall: Wall): AffectedIndex[] {
  const [first] = rows
  if (first === undefined) return []
  const { index, table, leakyFunctions } = first
  const leaky = leakyFunctions.length > 0 ? rows : rows.filter(({ leakproof }) => !leakproof)
  const operators = [...new Set(leaky.map(({ operator }) => operator))]
  if (operators.length === 0) return []
  const searchesTenant = wall.kind === 'rls' && first.method === 'gin'
  const cause =
    leakyFunctions.length > 0
      ? `its expression calls ${leakyFunctions.join(', ')}`
      : `${operators.join(' ')} on ${first.operand}`
  return [
    {
      index,
      table,
      operators,
      reason:
        `${cause}: not LEAKPROOF, so evaluated after the policy and never inside the index` +
        (searchesTenant ? '; and what it is asked for, it looks for among all rows of the tenant' : ''),
      remedies: [
        ...remediesOf(first, leaky),
        ...(searchesTenant
          ? [
              'Give tenants with a million rows the schema or database strategy: a GIN index is twice as fast there.',
            ]
          : []),
        'Give tenants that need the index the database strategy.',
      ],
    },
  ]
}

/** What the operators of sql/tenant-database/0009_search_hints.sql and the next file stand beside. */
const hints = new Set(['@@ tsquery', '@> jsonb', '~~ text', '~~* text'])

function remediesOf({ leakyFunctions }: Row, leaky: readonly Row[]): string[] {
  const hinted = leaky.some(({ operator, operand }) => hints.has(`${operator} ${operand}`))
  const markable = leakyFunctions.length === 0 && leaky.some(({ reviewed }) => reviewed)
  return [
    ...(leakyFunctions.length > 0
      ? ['Index a stored generated column in place of the expression, and compare with that.']
      : [
          'Compare a column of a type whose operators are LEAKPROOF: integer, bigint, text, uuid, date, timestamptz.',
        ]),
    ...(hinted
      ? [
          'Compare with a literal or a parameter: where the administrator is a superuser, such a search is helped.',
        ]
      : []),
    ...(markable
      ? ['Let a superuser run tenancy.migrate(): it marks the operators that are known to be safe LEAKPROOF.']
      : []),
  ]
}
