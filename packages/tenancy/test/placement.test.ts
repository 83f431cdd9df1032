// The rules of placement by themselves; with servers behind them in servers.test.ts.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Candidate, type Choice, choosePlace, type Wish } from '../src/placements/choose.ts'
import { strategies } from './support/installation.ts'

const regions = ['eu', 'us'] as const
const labels = ['ssd', 'hipaa'] as const
const cap = fc.integer({ min: 1, max: 3 })

const candidates = fc.uniqueArray(
  fc.record<Candidate>({
    server: fc.constantFrom('a', 'b', 'c', 'd'),
    region: fc.constantFrom(undefined, ...regions),
    labels: fc.subarray([...labels]),
    private: fc.boolean(),
    weight: fc.constantFrom(0.5, 1, 2),
    caps: fc.record({
      databases: cap,
      sharedDatabases: cap,
      rowTenantsPerDatabase: cap,
      schemasPerDatabase: cap,
    }),
    silos: fc.integer({ min: 0, max: 4 }),
    shared: fc.array(fc.record({ id: fc.uuid(), rowTenants: fc.nat(4), schemaTenants: fc.nat(4) }), {
      maxLength: 4,
    }),
  }),
  { selector: ({ server }) => server, maxLength: 4 },
)
const wishes = fc.record<Wish>({
  strategy: fc.constantFrom(...strategies),
  servers: fc.subarray(['a', 'z'], { maxLength: 2 }),
  regions: fc.subarray([...regions], { maxLength: 2 }),
  labels: fc.subarray([...labels]),
})

interface Possible extends Choice {
  readonly load: number
  readonly tenants: number
}

/** The rules in other words: every place that a wish may be given, with the part of its server's cap that is used. */
function placesFor(all: readonly Candidate[], wish: Wish): Possible[] {
  return all
    .filter(({ server }) => wish.servers.every((pin) => pin === server))
    .filter(({ private: closed }) => !closed || wish.servers.length > 0)
    .filter(({ region }) => wish.regions.every((wanted) => wanted === region))
    .filter((candidate) => wish.labels.every((label) => candidate.labels.includes(label)))
    .flatMap(({ server, weight, caps, shared, silos }): Possible[] => {
      if (wish.strategy === 'database') {
        const place = { server, sharedDatabaseId: null, load: silos / (weight * caps.databases), tenants: 0 }
        return silos < caps.databases ? [place] : []
      }
      const perDatabase = wish.strategy === 'rls' ? caps.rowTenantsPerDatabase : caps.schemasPerDatabase
      const filled = shared.map(({ id, rowTenants, schemaTenants }) => ({
        id,
        tenants: wish.strategy === 'rls' ? rowTenants : schemaTenants,
      }))
      const sum = filled.reduce((total, { tenants }) => total + tenants, 0)
      const load = sum / (weight * perDatabase * caps.sharedDatabases)
      const open = filled
        .filter(({ tenants }) => tenants < perDatabase)
        .map(({ id, tenants }) => ({ server, sharedDatabaseId: id, load, tenants }))
      const another = { server, sharedDatabaseId: null, load, tenants: 0 }
      return open.length > 0 || shared.length >= caps.sharedDatabases ? open : [another]
    })
}

test('a tenant goes to the least loaded place that no rule excludes, and is refused only when there is none', () => {
  fc.assert(
    fc.property(candidates, wishes, (all, wish) => {
      const places = placesFor(all, wish)
      if (places.length === 0) {
        expect(() => choosePlace(all, wish)).toThrow(expect.objectContaining({ code: 'PLACEMENT_REFUSED' }))
        return
      }
      const choice = choosePlace(all, wish)
      const chosen = places.find(
        ({ server, sharedDatabaseId }) =>
          server === choice.server && sharedDatabaseId === choice.sharedDatabaseId,
      )
      expect(chosen?.load).toBe(Math.min(...places.map(({ load }) => load)))
      const beside = places.filter(({ server }) => server === choice.server)
      expect(chosen?.tenants).toBe(Math.min(...beside.map(({ tenants }) => tenants)))
    }),
    { numRuns: 5_000, verbose: true },
  )
})

test.each(strategies)('new tenants come to servers in proportion to their weights: %s', (strategy) => {
  const caps = { databases: 1_000, sharedDatabases: 10, rowTenantsPerDatabase: 100, schemasPerDatabase: 100 }
  const wish = { strategy, servers: [], regions: [], labels: [] }
  fc.assert(
    fc.property(fc.array(fc.constantFrom(0.5, 1, 2, 3, 7), { minLength: 2, maxLength: 4 }), (weights) => {
      const tenants = weights.map(() => 0)
      for (let count = 0; count < 60; count += 1) {
        const all = weights.map((weight, at): Candidate => {
          const here = tenants[at] ?? 0
          const shared = [{ id: `d${at}`, rowTenants: here, schemaTenants: here }]
          return { server: `s${at}`, labels: [], private: false, weight, caps, silos: here, shared }
        })
        const at = Number(choosePlace(all, wish).server.slice(1))
        tenants[at] = (tenants[at] ?? 0) + 1
      }
      const carried = weights.map((weight, at) => (tenants[at] ?? 0) / weight)
      // One tenant is all that may be between the ways of dividing them.
      for (const [at, weight] of weights.entries()) {
        expect((carried[at] ?? 0) - Math.min(...carried)).toBeLessThanOrEqual(1 / weight + 1e-9)
      }
    }),
  )
})

test('a refusal names for every server the rule that excluded it', () => {
  const plain = { labels: [], private: false, weight: 1, silos: 0, shared: [] }
  const caps = { databases: 1, sharedDatabases: 1, rowTenantsPerDatabase: 1, schemasPerDatabase: 1 }
  const full = { ...plain, caps, silos: 1, shared: [{ id: 'x', rowTenants: 1, schemaTenants: 1 }] }
  const all: Candidate[] = [
    { ...plain, caps, server: 'closed', region: 'eu', private: true },
    { ...plain, caps, server: 'away', region: 'us' },
    { ...plain, caps, server: 'nowhere' },
    { ...plain, caps, server: 'bare', region: 'eu' },
    { ...full, server: 'full', region: 'eu', labels: ['ssd'] },
  ]
  for (const strategy of strategies) {
    const wish = { strategy, servers: [], regions: ['eu'], labels: ['ssd'] }
    const what =
      strategy === 'database'
        ? 'it has 1 of 1 databases of tenants'
        : 'its 1 shared databases have 1 tenants each'
    expect(() => choosePlace(all, wish)).toThrow(
      expect.objectContaining({
        message: `No server may take the tenant: closed is private and takes tenants pinned to it only; away is in us, not in eu; nowhere is in no region, not in eu; bare has no label ssd; full is full: ${what} [PLACEMENT_REFUSED]`,
      }),
    )
    expect(() => choosePlace(all, { ...wish, servers: ['gone'] })).toThrow(
      /closed is not gone, which the tenant is pinned to; away is not gone/,
    )
  }
})
