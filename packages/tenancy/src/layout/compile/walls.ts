import { quoteIdentifier, quoteLiteral, quoteQualified } from '../../identifiers.ts'
import {
  type LayoutRefusal,
  OWN_CHECK,
  type Table,
  TENANT_COLUMN,
  TENANT_POLICY,
  type Wall,
} from '../shape.ts'

/** What differs between the three strategies: default and check of `tenant_id`, the policy, the grantee; and, because
 * of what the policy supplies, where `tenant_id` stands in keys and indexes (tenant-position.ts). */
interface WallParts {
  readonly tenantDefault: string | null
  readonly ownCheck: string | null
  readonly policy: string
  readonly runtimeRole: string
}

const SEALED = `${TENANT_COLUMN} = (select context.tenant_id from quickscale.context)`
const GATED = 'quickscale.gate()'

/** The same parts as PostgreSQL prints them, white space folded; what a complete table is compared with. */
const PRINTED: Readonly<Record<string, string>> = {
  [SEALED]: '(tenant_id = ( SELECT context.tenant_id FROM quickscale.context))',
  [GATED]: 'quickscale.gate()',
}

export function wallParts(wall: Wall): WallParts {
  if (wall.kind === 'rls') {
    return {
      tenantDefault: 'quickscale.tenant_id()',
      ownCheck: null,
      policy: SEALED,
      runtimeRole: 'quickscale_runtime',
    }
  }
  const own = wall.tenantId === null ? null : `${quoteLiteral(wall.tenantId)}::uuid`
  return {
    tenantDefault: own,
    ownCheck: own && `${TENANT_COLUMN} = ${own}`,
    policy: wall.kind === 'schema' ? SEALED : GATED,
    runtimeRole: wall.kind === 'schema' ? 'quickscale_runtime' : 'quickscale_silo',
  }
}

/** Subcommands that make a policy hold for everybody, the owner too. */
export const policyClauses = ['enable row level security', 'force row level security']

/** The part of a wall that names the tenant: all that a cloned template lacks. */
export function tenantClauses(wall: Wall): string[] {
  const { tenantDefault, ownCheck } = wallParts(wall)
  return [
    ...(tenantDefault ? [`alter column ${TENANT_COLUMN} set default ${tenantDefault}`] : []),
    ...(ownCheck ? [`add constraint ${OWN_CHECK} check (${ownCheck})`] : []),
  ]
}

export function createPolicy(schema: string, table: Table, wall: Wall): string {
  const { policy } = wallParts(wall)
  return `create policy ${TENANT_POLICY} on ${quoteQualified(schema, table.name)} using (${policy}) with check (${policy})`
}

/** A complete table whose wall is not whole has been tampered with: that is never repaired silently. */
export function refuseBrokenWall(table: Table, wall: Wall): LayoutRefusal[] {
  const differences = [...columnDifferences(table, wall), ...policyDifferences(table, wall)]
  return differences.map((reason) => ({
    kind: 'tenant wall',
    object: table.name,
    reason,
    remedy: `Leave ${TENANT_COLUMN}, ${TENANT_POLICY}* and row level security of a table alone; the layout owns them.`,
  }))
}

/** An author's table that already has parts of a wall. */
export function refuseForeignWall(table: Table): LayoutRefusal[] {
  return [
    ...(table.rowSecurity || table.forcedRowSecurity
      ? [
          {
            kind: 'row level security',
            object: table.name,
            reason: 'the layout switches row level security on itself',
            remedy: 'Remove ENABLE and FORCE ROW LEVEL SECURITY from the migration.',
          },
        ]
      : []),
    ...table.policies.map(({ name }) => foreignPolicy(table, name)),
  ]
}

function columnDifferences(table: Table, wall: Wall): string[] {
  const { tenantDefault, ownCheck } = wallParts(wall)
  const column = table.columns.find(({ name }) => name === TENANT_COLUMN)
  if (!column) {
    return [`the table has lost its column ${TENANT_COLUMN}, or a reference table its comment with @shared`]
  }
  const check = table.constraints.find(({ name, type }) => name === OWN_CHECK && type === 'c')
  const differences: string[] = []
  if (column.type !== 'uuid' || !column.notNull || column.identity || column.generated) {
    differences.push(`${TENANT_COLUMN} is not a plain "uuid not null" any more`)
  }
  if (column.default !== tenantDefault) {
    differences.push(
      `${TENANT_COLUMN} has the default ${column.default ?? 'none'} in place of ${tenantDefault ?? 'none'}`,
    )
  }
  if ((check?.definition ?? null) !== (ownCheck && `CHECK ((${ownCheck}))`)) {
    differences.push(check ? `${OWN_CHECK} checks for something else` : `the check ${OWN_CHECK} is missing`)
  }
  return differences
}

function policyDifferences(table: Table, wall: Wall): string[] {
  const differences: string[] = []
  const printed = PRINTED[wallParts(wall).policy]
  const policy = table.policies.find(({ name }) => name === TENANT_POLICY)
  if (!table.rowSecurity || !table.forcedRowSecurity)
    differences.push('row level security is not forced any more')
  if (!policy) differences.push(`the policy ${TENANT_POLICY} is missing`)
  else if (!policy.forAll || folded(policy.visible) !== printed || folded(policy.writable) !== printed) {
    differences.push(`the policy ${TENANT_POLICY} has been changed`)
  }
  for (const { name } of table.policies) {
    if (name !== TENANT_POLICY) differences.push(`the policy ${quoteIdentifier(name)} is not the layout's`)
  }
  return differences
}

function foreignPolicy(table: Table, policy: string): LayoutRefusal {
  return {
    kind: 'policy',
    object: `${table.name}.${policy}`,
    reason: 'policies of one table are joined with OR: one more can open what the layout closes',
    remedy: 'Leave the policy out; check the actor in the application.',
  }
}

function folded(expression: string | null): string | undefined {
  return expression?.replace(/\s+/g, ' ')
}
