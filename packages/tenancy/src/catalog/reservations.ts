import { type Kysely, sql } from 'kysely'
import type { Strategy, Tenant } from '../tenant.ts'
import { type BroughtAddress, explainTaken } from './brought-databases.ts'
import type { LockNames, Question, UnderLock } from './locks.ts'
import type { Member } from './members.ts'
import { type DatabaseRecord, type DatabaseRow, toDatabase } from './places.ts'
import type { CatalogTables } from './tables.ts'
import { explainTenant, type TenantRow, toTenant } from './tenants.ts'

/** How many tenants of each strategy are in a database that they share. */
export interface Occupancy {
  readonly rowTenants: number
  readonly schemaTenants: number
}

/** A database that tenants share. */
export interface SharedDatabase extends Occupancy {
  readonly record: DatabaseRecord
}

/** What there is to choose a place from, as far as the strategy concerns it. */
export interface Supply {
  /** In the order in which they were made. */
  readonly shared: readonly SharedDatabase[]
  /** How many databases with one tenant each server has, by its name. */
  readonly silos: Readonly<Record<string, number>>
  /** Names of servers that take no tenant. */
  readonly draining: readonly string[]
}

/** A place that was chosen. */
export interface Chosen {
  readonly strategy: Strategy
  readonly server: string
  /** Name of the database. */
  readonly database: string
  /** Name of its login role. */
  readonly login: string
  readonly kind: 'shared' | 'silo'
  readonly schema: string
  /** Of the waiting databases that would do as well, each for a tenant of its own id. */
  readonly shape?: string
  /** Of a database that a customer brings, on a server of its own; that is no choice. */
  readonly brought?: BroughtAddress
}

interface SupplyRow {
  readonly shared: (DatabaseRow & { row_tenants: number; schema_tenants: number })[] | null
  readonly silos: Record<string, number> | null
  readonly draining: string[] | null
}

/**
 * Makes others who choose a place wait until this transaction ends, so that two of them cannot both take the last room
 * under a cap.
 */
export async function lockChoice(transaction: Kysely<CatalogTables>): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('quickscale choice', 0))`.execute(transaction)
}

/** What there is to choose from; see {@link lockChoice}. */
export async function listSupply(transaction: Kysely<CatalogTables>, strategy: Strategy): Promise<Supply> {
  const { rows } = await sql<SupplyRow>`select * from catalog.list_supply(${strategy})`.execute(transaction)
  return toSupply(rows[0])
}

/** What whoever makes a tenant has to know: the one that has the slug already, or else what there is to choose from. */
export interface Choice {
  readonly known: Tenant | null
  readonly supply: Supply
}

export type ChoiceRow = SupplyRow & { readonly known: TenantRow | null }

/**
 * Takes the locks of a slug's tenant and, unless there is one, of a choice: others who choose wait until it is recorded, or
 * the locks are given up. May be asked again under them.
 */
export function askChoice(
  { exclusive, shared }: Required<LockNames>,
  slug: string,
  strategy: Strategy,
): Question {
  return {
    lock: exclusive,
    text: 'select * from catalog.begin_choice($1, $2, $3, $4)',
    values: [exclusive, shared, slug, strategy],
  }
}

export function toChoice(row: ChoiceRow | undefined): Choice {
  return { known: row?.known ? toTenant(row.known) : null, supply: toSupply(row) }
}

function toSupply(row: SupplyRow | undefined): Supply {
  const shared = (row?.shared ?? []).map((each) => ({
    record: toDatabase(each),
    rowTenants: each.row_tenants,
    schemaTenants: each.schema_tenants,
  }))
  return { shared, silos: row?.silos ?? {}, draining: row?.draining ?? [] }
}

/**
 * Records a tenant together with its place, or neither.
 *
 * @returns warm: a database that was waiting, and the tenant has the id that it was made for
 * @throws QuickScaleError `TENANT_EXISTS` for the id of another tenant, deleted ones included; `SLUG_RESTING`, `DATABASE_TAKEN`,
 *   `TENANT_INVALID` for a parent that has too many above it
 */
export async function recordTenant(
  underLock: UnderLock,
  tenant: Pick<Tenant, 'id' | 'slug' | 'name' | 'plan' | 'parentId' | 'region'> & {
    /** Its first members, checked. */
    readonly members: readonly Pick<Member, 'userId' | 'name' | 'email' | 'role'>[]
  },
  place: Chosen,
): Promise<{ tenant: Tenant; database: DatabaseRecord; warm: boolean }> {
  const [row] = await underLock<{ tenant: TenantRow; database: DatabaseRow; warm: boolean }>(
    'select * from catalog.record_tenant($1, $2)',
    [tenant, place],
  )
    .catch(explainTaken)
    .catch((cause: unknown) => explainTenant(cause, tenant.slug, tenant.plan))
  if (row === undefined) throw new RangeError('a function that returns a row has returned none')
  return { tenant: toTenant(row.tenant), database: toDatabase(row.database), warm: row.warm }
}
