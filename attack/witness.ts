import type pg from 'pg'
import { quoteLiteral, quoteQualified } from '../packages/tenancy/src/identifiers.ts'
import type { Ledger } from './ledger.ts'
import { type Party, tables } from './party.ts'

/** Everything the attacker must not read, write or learn of, as an owner's connection sees it. */
export interface Foreign {
  readonly attacker: Party
  /** The victim first; other tenants that the attacker might reach. */
  readonly others: readonly Party[]
  /** Schemas with a tenant column, where all rows but the attacker's are foreign. */
  readonly shared: readonly string[]
  /** Schemas in which every row is foreign. */
  readonly private: readonly string[]
}

export type Snapshot = readonly string[]

export async function takeSnapshot(owner: pg.Client, foreign: Foreign): Promise<Snapshot> {
  const parts = tables.flatMap((table) => [
    ...foreign.shared.map(
      (schema) =>
        `select to_jsonb(t)::text as row from ${quoteQualified(schema, table)} as t
          where tenant_id is distinct from ${quoteLiteral(foreign.attacker.id)}::uuid`,
    ),
    ...foreign.private.map(
      (schema) => `select to_jsonb(t)::text as row from ${quoteQualified(schema, table)} as t`,
    ),
  ])
  const { rows } = await owner.query<{ row: string }>(
    `select row from (${parts.join(' union all ')}) as foreign_rows order by row`,
  )
  return rows.map(({ row }) => row)
}

/** Why rows of the victim were read, written or confirmed to exist; empty when none was. */
export function findLeaks(ledger: Ledger, foreign: Foreign, before: Snapshot, after: Snapshot): string[] {
  const { attacker, others } = foreign
  const gone = before.filter((row) => !after.includes(row))
  const come = after.filter((row) => !before.includes(row))
  return [
    ...ledger.leaks,
    ...others
      .filter(({ canary }) => ledger.heardBy('attacker').includes(canary))
      .map(({ canary }) => `the attacker read ${canary}`),
    ...(ledger.heardBy('victim').includes(attacker.canary)
      ? [`the victim was served ${attacker.canary}`]
      : []),
    ...gone.map((row) => `foreign row gone: ${row}`),
    ...come.map((row) => `foreign row written: ${row}`),
  ]
}
