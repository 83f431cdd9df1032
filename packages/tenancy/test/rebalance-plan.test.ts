import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Balanced,
  type BalancedDatabase,
  type BalancedServer,
  type BalancedTenant,
  type SpreadMove,
  spreadLoad,
} from '../src/servers/rebalance/spread.ts'
import type { Strategy } from '../src/tenant.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const everything = { threshold: 0.2, movesMax: 10_000 }

/** Servers with databases, and tenants with rules of their own; some of them may be where they no longer may. */
const balanced: fc.Arbitrary<Balanced> = fc
  .record({
    servers: fc.array(
      fc.record({
        capacity: fc.integer({ min: 1, max: 4 }),
        apart: fc.boolean(),
        siloRoom: fc.integer({ min: 0, max: 4 }),
        rest: fc.integer({ min: 0, max: 20 }),
        databases: fc.array(
          fc.record({
            room: fc.record({ rls: fc.integer({ min: 0, max: 4 }), schema: fc.integer({ min: 0, max: 4 }) }),
            rest: fc.integer({ min: 0, max: 20 }),
          }),
          { minLength: 1, maxLength: 3 },
        ),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    tenants: fc.array(
      fc.record({
        strategy: fc.constantFrom(...strategies),
        home: fc.nat(),
        load: fc.integer({ min: 0, max: 100 }),
        bytes: fc.integer({ min: 0, max: 5 }),
        allowed: fc.array(fc.nat({ max: 3 }), { maxLength: 4 }),
      }),
      { maxLength: 25 },
    ),
  })
  .map(({ servers, tenants }) => {
    const databases = servers.flatMap((server, at) =>
      server.databases.map((database, index) => ({ ...database, id: `d${at}.${index}`, server: `s${at}` })),
    )
    return {
      servers: servers.map(({ databases: _, ...server }, at) => ({ ...server, name: `s${at}` })),
      databases,
      tenants: tenants.map(({ home, allowed, ...tenant }, index) => {
        const { id, server } = databases[home % databases.length] as BalancedDatabase
        return {
          ...tenant,
          id: `t${String(index).padStart(2, '0')}`,
          server,
          databaseId: tenant.strategy === 'database' ? null : id,
          allowed: allowed.map((at) => `s${at}`),
        }
      }),
    }
  })

/** Everything as it is when the moves have been made. */
function apply({ servers, databases, tenants }: Balanced, moves: readonly SpreadMove[]): Balanced {
  const byTenant = new Map(moves.map((move) => [move.tenantId, move]))
  const settled = tenants.map((tenant) => {
    const { server, databaseId } = byTenant.get(tenant.id) ?? tenant
    return { ...tenant, server, databaseId }
  })
  const change = (here: (tenant: BalancedTenant) => boolean) =>
    tenants.filter(here).length - settled.filter(here).length
  return {
    servers: servers.map((server) => ({
      ...server,
      siloRoom:
        server.siloRoom + change((each) => each.strategy === 'database' && each.server === server.name),
    })),
    databases: databases.map(({ room, ...database }) => ({
      ...database,
      room: {
        rls: room.rls + change((each) => each.strategy === 'rls' && each.databaseId === database.id),
        schema: room.schema + change((each) => each.strategy === 'schema' && each.databaseId === database.id),
      },
    })),
    tenants: settled,
  }
}

function loadOf({ databases, tenants }: Balanced, { name, rest, capacity }: BalancedServer): number {
  const own = tenants.filter(({ server }) => server === name).reduce((sum, { load }) => sum + load, rest)
  const others = databases.filter(({ server }) => server === name).reduce((sum, each) => sum + each.rest, 0)
  return (own + others) / capacity
}

/** Servers with one database each and room for everybody, and tenants that may live on all of them. */
function spreadOver(
  capacities: readonly number[],
  loads: readonly number[],
  strategy: Strategy,
  homeOf: (index: number) => number,
): Balanced {
  const servers = capacities.map((capacity, at) => ({ capacity, name: `s${at}` }))
  const names = servers.map(({ name }) => name)
  return {
    servers: servers.map((server) => ({ ...server, apart: false, siloRoom: 1_000, rest: 0 })),
    databases: names.map((name) => ({
      id: `of ${name}`,
      server: name,
      room: { rls: 1_000, schema: 1_000 },
      rest: 0,
    })),
    tenants: loads.map((load, index) => {
      const server = `s${homeOf(index)}`
      const databaseId = strategy === 'database' ? null : `of ${server}`
      return { id: `t${index}`, strategy, server, databaseId, bytes: load, load, allowed: names }
    }),
  }
}

describe('a plan that spreads load', () => {
  test('breaks no rule and no cap, and makes no server fuller than the fullest was', () => {
    fc.assert(
      fc.property(balanced, (before) => {
        const moves = spreadLoad(before, everything)
        const after = apply(before, moves)
        const moved = new Set(moves.map(({ tenantId }) => tenantId))
        expect(moved.size).toBe(moves.length)
        for (const { id, server, allowed, strategy, databaseId } of after.tenants) {
          if (!moved.has(id)) continue
          expect(allowed).toContain(server)
          const here = before.tenants.find((tenant) => tenant.id === id)?.server
          const apart = before.servers.filter((each) => each.apart).map(({ name }) => name)
          if (here !== server) expect(apart.filter((name) => name === here || name === server)).toEqual([])
          expect(databaseId === null).toBe(strategy === 'database')
          const home = after.databases.find((database) => database.id === databaseId)
          if (databaseId !== null) expect(home?.server).toBe(server)
        }
        for (const { siloRoom } of after.servers) expect(siloRoom).toBeGreaterThanOrEqual(0)
        for (const { room } of after.databases) {
          expect(Math.min(room.rls, room.schema)).toBeGreaterThanOrEqual(0)
        }
        const fullest = (state: Balanced) => Math.max(...state.servers.map((server) => loadOf(state, server)))
        expect(fullest(after)).toBeLessThanOrEqual(fullest(before) + 1e-9)
      }),
      { numRuns: 500 },
    )
  })

  test('leaves nothing to do for the next plan', () => {
    fc.assert(
      fc.property(balanced, (before) => {
        const moves = spreadLoad(before, everything)
        expect(spreadLoad(apply(before, moves), everything)).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  test('spreads load in proportion to the weights of servers, within the size of one tenant', () => {
    const weights = fc.array(fc.constantFrom(0.5, 1, 2, 3, 7), { minLength: 2, maxLength: 4 })
    const loads = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(
        weights,
        loads,
        fc.constantFrom(...strategies),
        fc.nat(),
        (capacities, sizes, strategy, seed) => {
          const before = spreadOver(
            capacities,
            sizes,
            strategy,
            (index) => (index * (seed + 1)) % capacities.length,
          )
          const threshold = 0.05
          const after = apply(before, spreadLoad(before, { threshold, movesMax: 10_000 }))
          const total = sizes.reduce((sum, size) => sum + size, 0)
          const average = total / capacities.reduce((sum, capacity) => sum + capacity, 0)
          const largest = Math.max(...sizes)
          for (const full of after.servers) {
            for (const other of after.servers) {
              const difference = loadOf(after, full) - loadOf(after, other)
              if (loadOf(after, full) <= average * (1 + threshold)) continue
              const one = largest * (1 / full.capacity + 1 / other.capacity)
              expect(difference).toBeLessThanOrEqual((average * threshold) / 2 + one + 1e-9)
            }
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  test('moves nobody where load is in proportion to weights already', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(weights, fc.constantFrom(...strategies), (capacities, strategy) => {
        const homes = capacities.flatMap((capacity, at) => Array.from({ length: capacity * 3 }, () => at))
        const balancedAlready = spreadOver(
          capacities,
          homes.map(() => 4),
          strategy,
          (index) => homes[index] ?? 0,
        )
        expect(spreadLoad(balancedAlready, { threshold: 0.05, movesMax: 10 })).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  test('has no more moves than it may, each of which evens servers or databases out', () => {
    fc.assert(
      fc.property(balanced, fc.integer({ min: 0, max: 5 }), (before, movesMax) => {
        const moves = spreadLoad(before, { threshold: 0.2, movesMax })
        expect(moves.length).toBeLessThanOrEqual(movesMax)
        const squares = (state: Balanced) =>
          state.servers.reduce((sum, each) => sum + each.capacity * loadOf(state, each) ** 2, 0)
        expect(squares(apply(before, moves))).toBeLessThanOrEqual(squares(before) * (1 + 1e-9))
      }),
      { numRuns: 300 },
    )
  })

  test.each(strategies)(
    'takes the fewest tenants off a server, and of equal ones the smallest: %s',
    (strategy) => {
      const at = (server: string) => ({
        name: server,
        capacity: 1,
        apart: false,
        siloRoom: 9,
        rest: 0,
      })
      const home = (server: string) => ({ id: `of ${server}`, server, room: { rls: 9, schema: 9 }, rest: 0 })
      const tenant = (id: string, load: number, bytes: number, allowed = ['a', 'b']) => ({
        id,
        strategy,
        server: 'a',
        databaseId: strategy === 'database' ? null : 'of a',
        load,
        bytes,
        allowed,
      })
      const plan = (tenants: BalancedTenant[], options = everything) =>
        spreadLoad({ servers: ['a', 'b'].map(at), databases: ['a', 'b'].map(home), tenants }, options)
      const there = { server: 'b', databaseId: strategy === 'database' ? null : 'of b' }
      const crowd = [tenant('x', 10, 1), tenant('y', 50, 9), tenant('z', 50, 8), tenant('w', 10, 1)]
      expect(plan(crowd)).toEqual([{ tenantId: 'z', ...there }])
      expect(plan(crowd, { threshold: 1.5, movesMax: 9 })).toEqual([])
      // One that is too big for anybody is not passed on from server to server.
      expect(plan([tenant('huge', 100, 1)])).toEqual([])
      expect(plan([tenant('x', 50, 1, ['a']), tenant('y', 50, 1, ['a'])])).toEqual([])
    },
  )
})
