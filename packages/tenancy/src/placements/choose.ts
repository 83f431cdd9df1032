/** The rules by which a new tenant gets its server: a pure function of what there is and what is wished for. */
import type { Occupancy } from '../catalog/reservations.ts'
import { QuickScaleError } from '../errors.ts'
import type { ResolvedServer } from '../server-config.ts'
import type { Strategy } from '../tenant.ts'

/** A database that tenants share. */
export interface SharedCandidate extends Occupancy {
  readonly id: string
  /** It takes part in the server's load and caps, and is not chosen. @defaultValue false */
  readonly closed?: boolean
}

/** A server that a tenant might live on. */
export interface Candidate {
  readonly server: string
  readonly region?: string | undefined
  readonly labels: readonly string[]
  readonly private: boolean
  /** It takes no tenant. @defaultValue false */
  readonly draining?: boolean
  /** The tenant has a database of its own there, and is to go elsewhere. @defaultValue false */
  readonly left?: boolean
  /** How much of the load it is to carry, in relation to others. */
  readonly weight: number
  readonly caps: ResolvedServer['caps']
  readonly shared: readonly SharedCandidate[]
  /** Databases of one tenant each. */
  readonly silos: number
}

/** What a tenant and its plan ask of a place; all of it must hold. */
export interface Wish {
  readonly strategy: Strategy
  /** Servers it is pinned to: a server is refused unless it is each of them. */
  readonly servers: readonly string[]
  /** Regions it must stay in: likewise. */
  readonly regions: readonly string[]
  /** Labels that the server must have. */
  readonly labels: readonly string[]
}

/** A rule that keeps a tenant from a server, and why. */
export interface Exclusion {
  readonly server: string
  readonly rule: 'pinned' | 'private' | 'region' | 'labels' | 'draining' | 'left' | 'full'
  readonly reason: string
}

/** Where a tenant goes: a database that is shared already, or a new one on the server. */
export interface Choice {
  readonly server: string
  readonly sharedDatabaseId: string | null
}

/**
 * Chooses the least loaded of the servers that no rule excludes: the one of which the smallest part of its cap is used, by its
 * weight, the first of several; there the shared database with the fewest tenants, or a new one when all are full.
 *
 * @throws QuickScaleError `PLACEMENT_REFUSED`, naming the rule that excluded each server
 * @example
 * choosePlace(candidates, { strategy: 'schema', servers: [], regions: ['eu'], labels: [] }) // { server: 'frankfurt', … }
 */
export function choosePlace(candidates: readonly Candidate[], wish: Wish): Choice {
  const exclusions: Exclusion[] = []
  let best: { candidate: Candidate; load: number } | null = null
  for (const candidate of candidates) {
    const exclusion = findExclusion(candidate, wish) ?? findUnavailability(candidate, wish.strategy)
    if (exclusion !== null) {
      exclusions.push(exclusion)
      continue
    }
    const load = loadOf(candidate, wish.strategy)
    if (best === null || load < best.load) best = { candidate, load }
  }
  if (best === null) {
    const reasons = exclusions.map(({ server, reason }) => `${server} ${reason}`).join('; ')
    throw new QuickScaleError('PLACEMENT_REFUSED', { reasons, excluded: exclusions })
  }
  const { candidate } = best
  return { server: candidate.server, sharedDatabaseId: chooseShared(candidate, wish.strategy)?.id ?? null }
}

/** The first rule that keeps the tenant from the server, whatever room there is; null when there is none. */
export function findExclusion(candidate: Candidate, wish: Wish): Exclusion | null {
  const { server, region, labels } = candidate
  const excluded = (rule: Exclusion['rule'], reason: string) => ({ server, rule, reason })
  const pin = wish.servers.find((name) => name !== server)
  if (pin !== undefined) return excluded('pinned', `is not ${pin}, which the tenant is pinned to`)
  if (candidate.private && wish.servers.length === 0) {
    return excluded('private', 'is private and takes tenants pinned to it only')
  }
  const wanted = wish.regions.find((name) => name !== region)
  if (wanted !== undefined) return excluded('region', `is in ${region ?? 'no region'}, not in ${wanted}`)
  const missing = wish.labels.find((label) => !labels.includes(label))
  if (missing !== undefined) return excluded('labels', `has no label ${missing}`)
  return null
}

function findUnavailability(candidate: Candidate, strategy: Strategy): Exclusion | null {
  const { server, caps, shared, silos, draining, left } = candidate
  if (draining) return { server, rule: 'draining', reason: 'is being drained' }
  if (left) return { server, rule: 'left', reason: 'is where the tenant has a database of its own already' }
  if (strategy === 'database') {
    if (silos < caps.databases) return null
    return {
      server,
      rule: 'full',
      reason: `is full: it has ${silos} of ${caps.databases} databases of tenants`,
    }
  }
  if (shared.length < caps.sharedDatabases || chooseShared(candidate, strategy) !== null) return null
  const reason = `is full: its ${shared.length} shared databases have ${tenantsPerDatabase(caps, strategy)} tenants each`
  return { server, rule: 'full', reason }
}

/** The shared database with the fewest tenants of the strategy, if one has room. */
function chooseShared({ shared, caps }: Candidate, strategy: Strategy): SharedCandidate | null {
  if (strategy === 'database') return null
  const open = shared.filter(
    (database) => !database.closed && tenantsIn(database, strategy) < tenantsPerDatabase(caps, strategy),
  )
  return open.reduce<SharedCandidate | null>(
    (best, each) => (best === null || tenantsIn(each, strategy) < tenantsIn(best, strategy) ? each : best),
    null,
  )
}

/** The part of the server's cap that is used, 0 to 1, by its weight. */
function loadOf({ weight, caps, shared, silos }: Candidate, strategy: Strategy): number {
  if (strategy === 'database') return silos / (weight * caps.databases)
  const tenants = shared.reduce((sum, database) => sum + tenantsIn(database, strategy), 0)
  return tenants / (weight * caps.sharedDatabases * tenantsPerDatabase(caps, strategy))
}

function tenantsIn(database: SharedCandidate, strategy: Strategy): number {
  return strategy === 'rls' ? database.rowTenants : database.schemaTenants
}

function tenantsPerDatabase(caps: Candidate['caps'], strategy: Strategy): number {
  return strategy === 'rls' ? caps.rowTenantsPerDatabase : caps.schemasPerDatabase
}
