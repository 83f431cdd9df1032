// Who gets a connection, when there are fewer than are wanted.
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy, Tenancy } from '../src/index.ts'
import { ConnectionBudget } from '../src/session/connection-budget.ts'
import { FairQueue } from '../src/session/fair-queue.ts'
import type { ScopedClient } from '../src/session/pg-internals.ts'
import { ScopedPool } from '../src/session/scoped-pool.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'
import { outcomeOf } from './support/outcome.ts'

let installation: TestInstallation

/** Connections of tenants on the whole server: those of other test files have another installation's databases. */
async function connectionCount(): Promise<number> {
  const { rows } = await installation.inCatalog(
    `select count(*)::integer as count from pg_stat_activity
      where application_name = 'quickscale' and starts_with(datname, $1)`,
    [installation.name],
  )
  return rows[0].count
}

/** Begins a transaction and keeps it until told to end; resolves when it has begun. */
async function hold(tenancy: Tenancy<NoteTables>, slug: string) {
  const begun = Promise.withResolvers<void>()
  const finish = Promise.withResolvers<void>()
  const done = tenancy.tenant(slug).transaction(async (transaction) => {
    await transaction.query('delete from note')
    await transaction.query('insert into note (id) values (1)')
    begun.resolve()
    await finish.promise
    return (await transaction.query('select count(*)::integer as count from note')).rows[0]?.count
  })
  await Promise.race([begun.promise, done])
  return { done, finish: finish.resolve }
}

describe.each(strategies)('connections that are scarce under the %s strategy', (strategy: Strategy) => {
  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
  })
  afterAll(() => installation.close())
  afterEach(() => tenancy.close())

  let tenancy: Tenancy<NoteTables>
  const scarce = { perServer: 1, perDatabase: 1, perSilo: 1, waitMs: 20_000 }

  test('go to another tenant before a flood of one tenant is over', async () => {
    tenancy = await installation.another(strategy, { connections: scarce })
    let answered = 0
    const flood = Array.from({ length: 200 }, () =>
      tenancy
        .tenant('one')
        .query('select pg_sleep(0.01)')
        .then(() => {
          answered += 1
        }),
    )
    await flood[0]
    await tenancy.tenant('two').query('select 1')
    // In a shared database after one turn; in another database after the time that a connection serves its own.
    expect(answered).toBeLessThan(strategy === 'database' ? 100 : 10)
    await Promise.all(flood)
    expect(answered).toBe(200)
  })

  test('are not taken away from a transaction: whoever waits in vain is told by code', async () => {
    tenancy = await installation.another(strategy, { connections: { ...scarce, waitMs: 2_000 } })
    const held = await hold(tenancy, 'one')
    expect(await outcomeOf(tenancy.tenant('two').query('select 1'))).toBe('CONNECTION_TIMEOUT')
    held.finish()
    expect(await held.done).toBe(1)
    expect(await outcomeOf(tenancy.tenant('two').query('select 1'))).toBe('done')
  })

  test('are waited for by a bounded number, and of one tenant only', async () => {
    const connections = { ...scarce, perServer: 2, waitingPerTenant: 3 }
    tenancy = await installation.another(strategy, { connections })
    const held = await hold(tenancy, 'one')
    const asked = Array.from({ length: 5 }, () => outcomeOf(tenancy.tenant('one').query('select 1')))
    const other = outcomeOf(tenancy.tenant('two').query('select 1'))
    expect(await asked[4]).toBe('CONNECTION_QUEUE_FULL')
    held.finish()
    const outcomes = await Promise.all(asked)
    expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(3)
    expect(outcomes.filter((outcome) => outcome === 'CONNECTION_QUEUE_FULL')).toHaveLength(2)
    expect(await other).toBe('done')
  })

  test('are not lost to a database that cannot be reached for a while', async () => {
    const { databaseName } = await installation.tenancy.tenants.placement('one')
    await installation.inCatalog(`alter role "${databaseName}" nologin`)
    tenancy = await installation.another(strategy, { connections: scarce })
    const asked = Array.from({ length: 20 }, () => outcomeOf(tenancy.tenant('one').query('select 1')))
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['28000']))
    await installation.inCatalog(`alter role "${databaseName}" login`)
    expect(await outcomeOf(tenancy.tenant('one').query('select 1'))).toBe('done')
    expect(await outcomeOf(tenancy.tenant('two').query('select 1'))).toBe('done')
  })

  test('are opened as a burst goes on: never more at once than there are, and all of them in the end', async () => {
    const options = { url: await installation.loginUrlOf('one'), statementTimeoutMs: 10_000, pooler: null }
    const bounds = { connectionsMax: 6, guaranteed: 6, waitMs: 20_000, waitingMax: 10, idleMs: 60_000 }
    const budget = new ConnectionBudget(10)
    const pool = new ScopedPool({ ...options, ...bounds }, budget)
    const leases = Array.from({ length: 8 }, () => pool.lease('one'))
    const sizes = [pool.size]
    for (const lease of leases.slice(0, 6)) {
      await lease
      sizes.push(pool.size)
    }
    // The first one; with it a second one; with both two further ones, and what is missing.
    expect(sizes).toEqual([1, 2, 4, expect.any(Number), expect.any(Number), 6, 6])
    pool.giveBack(await (leases[0] as Promise<ScopedClient>))
    pool.giveBack(await (leases[6] as Promise<ScopedClient>))
    for (const lease of [...leases.slice(1, 6), leases[7]])
      pool.giveBack(await (lease as Promise<ScopedClient>))
    await budget.close()
  })

  test('are ended when they were unused for long', async () => {
    tenancy = await installation.another(strategy, { connections: { ...scarce, idleMs: 5_000 } })
    const before = await connectionCount()
    await tenancy.tenant('one').query('select 1')
    expect(await connectionCount()).toBe(before + 1)
    await expect.poll(connectionCount, { timeout: 60_000 }).toBe(before)
    expect(await outcomeOf(tenancy.tenant('one').query('select 1'))).toBe('done')
  })

  test('end with the tenancy: whoever waits is told at once, and work is finished', async () => {
    const before = await connectionCount()
    tenancy = await installation.another(strategy, { connections: { ...scarce, waitMs: 60_000 } })
    const held = await hold(tenancy, 'one')
    const asked = ['one', 'two', 'two'].map((slug) => outcomeOf(tenancy.tenant(slug).query('select 1')))
    await outcomeOf(tenancy.tenants.get('one'))
    const closed = tenancy.close()
    expect(await Promise.all(asked)).toEqual(['TENANCY_CLOSED', 'TENANCY_CLOSED', 'TENANCY_CLOSED'])
    held.finish()
    expect(await held.done).toBe(1)
    await closed
    expect(await connectionCount()).toBe(before)
  })
})

test('many databases get along with few connections: no error, and never more than the budget', async () => {
  installation = await TestInstallation.open('database')
  const slugs = ['one', 'two', 'three', 'four', 'five', 'six']
  for (const slug of slugs.slice(2))
    await installation.tenancy.tenants.create({ slug, name: slug, plan: 'only' })
  await installation.tenancy.close()
  const tenancy = await installation.another('database', {
    connections: { perServer: 2, perSilo: 2, waitMs: 60_000 },
  })
  const outcomes = Promise.all(
    Array.from({ length: 120 }, (_, index) => {
      const slug = slugs[index % slugs.length] ?? ''
      return outcomeOf(tenancy.tenant(slug).query('select pg_sleep(0.001)'))
    }),
  )
  let connectionsMax = 0
  let over = false
  const watched = (async () => {
    while (!over) {
      connectionsMax = Math.max(connectionsMax, await connectionCount())
      await sleep(20)
    }
  })()
  expect(new Set(await outcomes)).toEqual(new Set(['done']))
  over = true
  await watched
  await tenancy.close()
  expect(connectionsMax).toBeGreaterThan(0)
  expect(connectionsMax).toBeLessThanOrEqual(2)
  await installation.close()
})

test('a fair queue gives every key its turn, keeps the order of each, and loses nothing', () => {
  const commands = fc.array(
    fc.oneof(
      fc.record({ add: fc.constantFrom('a', 'b', 'c') }),
      fc.constant('next' as const),
      fc.record({ remove: fc.nat(20) }),
    ),
  )
  fc.assert(
    fc.property(commands, (sequence) => {
      const queue = new FairQueue<number>()
      let expected: { key: string; item: number }[] = []
      let turns: string[] = []
      sequence.forEach((command, item) => {
        if (command === 'next') {
          const key = turns.shift()
          const first = expected.find((entry) => entry.key === key)
          expect(queue.next()).toBe(first?.item)
          expected = expected.filter((entry) => entry !== first)
          if (key !== undefined && expected.some((entry) => entry.key === key)) turns.push(key)
        } else if ('add' in command) {
          queue.add(command.add, item)
          expected.push({ key: command.add, item })
          if (!turns.includes(command.add)) turns.push(command.add)
        } else {
          const gone = expected[command.remove]
          if (gone === undefined) return
          queue.remove(gone.key, gone.item)
          expected = expected.filter((entry) => entry !== gone)
          turns = turns.filter((key) => expected.some((entry) => entry.key === key))
        }
        expect(queue.size).toBe(expected.length)
      })
    }),
  )
})
