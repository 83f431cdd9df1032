import type { Strategy } from '@quickscale/tenancy'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createHttpClient } from './support/http-client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'
import { scenarios } from './support/scenarios/index.ts'

// One suite for every strategy, and for a tenant on its way between them: what a client hears must not tell where the tenant
// lives. So answers are compared whole, but for ids and moments.

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const names = Object.keys(scenarios)

let installation: TestInstallation
let origin: string
let owner: TestPerson
/** What the first tenant's client heard, by scenario. */
const expected = new Map<string, readonly string[]>()

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true, tenants: [] })
  const { tenancy, app } = installation
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
  owner = await makePerson(tenancy, 'Owner')
  for (const slug of [...strategies, 'moving']) {
    const plan = slug === 'moving' ? 'rls' : slug
    await tenancy.tenants.create({ slug: `at-${slug}`, name: 'Anywhere', plan })
    await join(tenancy, `at-${slug}`, owner, 'owner')
  }
  await tenancy.members.deliver()
})
afterAll(() => installation.remove())

/** Plays a scenario against a tenant. @returns what was heard */
async function play(name: string, slug: string): Promise<readonly string[]> {
  const client = createHttpClient(`${origin}/t/${slug}`, owner.headers)
  await scenarios[name]?.(client)
  return client.transcript
}

describe.each(strategies)('the application over the %s strategy', (strategy) => {
  it.each(names)('answers like over any other one: %s', async (name) => {
    const heard = await play(name, `at-${strategy}`)
    expect(heard.length).toBeGreaterThan(5)
    expect(heard.filter((line) => / \| 5\d\d \| /.test(line))).toEqual([])
    if (!expected.has(name)) expected.set(name, heard)
    expect(heard).toEqual(expected.get(name))
  })
})

describe('a tenant that is being moved', () => {
  it('answers as if it stood still, all the way round', async () => {
    const { moves, tenants } = installation.tenancy
    let moving = true
    const route: Strategy[] = []
    const travel = async () => {
      for (const to of ['schema', 'database', 'rls'] as const) {
        await moves.start('at-moving', { to })
        await moves.finish('at-moving')
        route.push((await tenants.placement('at-moving')).strategy)
      }
    }
    const journey = travel().finally(() => {
      moving = false
    })
    // Awaited below; a failure before that is no unhandled one.
    journey.catch(() => undefined)
    let told = 0
    while (moving) {
      for (const name of names)
        expect(await play(name, 'at-moving'), `${name}, time ${told}`).toEqual(expected.get(name))
      told += 1
    }
    await journey
    expect(route).toEqual(['schema', 'database', 'rls'])
    expect(told).toBeGreaterThan(1)
  })
})
