import { type NewMember, parseMember } from '../catalog/members.ts'
import { findParent, parseName, parseSlug, parseTenantKey } from '../catalog/tenants.ts'
import { QuickScaleError } from '../errors.ts'
import type { PlacementRules } from '../server-config.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { assertBringable, type BroughtDatabase } from './bring.ts'
import type { Wish } from './choose.ts'
import { type Plans, planOf, wishOf } from './reserve.ts'
import { wantedShape } from './shape.ts'

/** A customer to be. */
export interface NewTenant {
  /** Unique; a-z, 0-9 and inner hyphens. */
  readonly slug: string
  readonly name: string
  /** One of the configured plans; decides the strategy. */
  readonly plan: string
  /** Key of the tenant this one is a sub-account of, which has fewer than 20 above it. */
  readonly parent?: string
  /** uuid, lower case; no warm database can be claimed for it. @defaultValue a random one */
  readonly id?: string
  /** Name of the server it is pinned to; the only way to a private one, unless the plan is pinned to it. @defaultValue chosen */
  readonly server?: string
  /** The region its data must stay in. @defaultValue any */
  readonly region?: string
  /** Its first members, recorded together with it. @defaultValue none */
  readonly members?: readonly NewMember[]
  /** A database of the customer's own to live in; the plan's strategy must be `database`. @defaultValue one is made */
  readonly database?: BroughtDatabase
}

/** All there is to a new tenant. */
export const newTenantKeys: readonly (keyof NewTenant)[] = [
  'slug',
  'name',
  'plan',
  'parent',
  'id',
  'server',
  'region',
  'members',
  'database',
]

/** A new tenant that may be recorded as it stands. */
export interface Order extends Pick<NewTenant, 'slug' | 'name' | 'plan'> {
  readonly id: string
  readonly server: string | undefined
  readonly database: BroughtDatabase | undefined
  readonly parentId: string | null
  readonly region: string | null
  readonly members: readonly ReturnType<typeof parseMember>[]
  readonly wish: Wish
  /** Of the waiting databases that would do as well; none is looked for without it. */
  readonly shape: string | undefined
}

/**
 * Checks what is wanted, before anything is locked or changed.
 *
 * @throws QuickScaleError `TENANT_KEY_INVALID`, `TENANT_INVALID`, `PLAN_UNKNOWN`, `TENANT_NOT_FOUND` (parent),
 *   `MEMBER_INVALID`; `DATABASE_URL_INVALID`, `PLACEMENT_REFUSED` of a brought database
 */
export async function readOrder(workshop: Workshop, plans: Plans, wanted: NewTenant): Promise<Order> {
  const { plan, id = crypto.randomUUID(), database } = wanted
  const slug = parseSlug(wanted.slug)
  const name = parseName(wanted.name)
  if (!('id' in parseTenantKey(id))) throw new QuickScaleError('TENANT_INVALID', { field: 'id' })
  const { server, region } = readRules(wanted)
  const members = readMembers(wanted.members)
  const wish = wishOf(planOf(plans, plan), { server, region })
  if (database !== undefined) assertBringable(wish, database ?? { url: '' })
  const parentId = wanted.parent === undefined ? null : await findParent(workshop.catalog.db, wanted.parent)
  const waiting = wish.strategy === 'database' && wanted.id === undefined && database === undefined
  const shape = waiting ? await wantedShape(workshop) : undefined
  return { id, slug, name, plan, parentId, server, region: region ?? null, members, database, wish, shape }
}

/** @throws QuickScaleError `MEMBER_INVALID` */
function readMembers(members: unknown = []): Order['members'] {
  if (!Array.isArray(members)) throw new QuickScaleError('MEMBER_INVALID', { field: 'list' })
  return members.map(parseMember)
}

/** @throws QuickScaleError `TENANT_INVALID` */
function readRules({ server, region }: NewTenant): PlacementRules {
  for (const [field, value] of Object.entries({ server, region })) {
    const usable = value === undefined || (typeof value === 'string' && value.length <= 63 && value !== '')
    if (!usable) throw new QuickScaleError('TENANT_INVALID', { field })
  }
  return { server, region }
}
