import { afterEach, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { deriveSeal, sealToken } from '../src/session/token.ts'
import { tokenKeyOf } from '../src/strategies/token-keys.ts'
import { strategies, TestInstallation } from './support/installation.ts'

let installation: TestInstallation
afterEach(() => installation.close())

const keysIn = async (key: string) =>
  (await installation.asOwner(key, 'select id from quickscale.token_key order by id')).rows.map(
    ({ id }) => id,
  )

/** What the database says to a token of this generation, sealed with the right key of it. */
async function enterWith(key: string, keyId: string): Promise<string> {
  const { id } = await installation.tenancy.tenants.get(key)
  const { databaseId, epoch } = await installation.tenancy.tenants.placement(key)
  const secret = tokenKeyOf(Buffer.from(installation.masterKey, 'base64'), databaseId, keyId)
  const token = sealToken(deriveSeal(secret, id, epoch), { actor: null, expiresAtMs: Date.now() + 60_000 })
  const login = await installation.loginTo(key)
  try {
    await login.query('select quickscale.enter($1, $2, $3)', [...token])
    return 'entered'
  } catch (error) {
    return String((error as { code?: string }).code)
  } finally {
    await login.end()
  }
}

describe.each(strategies)('the keys that seal tokens, under the %s strategy', (strategy: Strategy) => {
  test('are rotated under load without a failed request, and the old one is worthless', async () => {
    installation = await TestInstallation.open(strategy)
    // Another process, with routes of its own that know the old key.
    const served = await installation.another(strategy, { connections: { waitMs: 30_000 } })
    let rotating = true
    let answered = 0
    const failures: unknown[] = []
    const client = async (slug: string) => {
      while (rotating) {
        try {
          await served.tenant(slug).query('update note set body = $1', [slug])
          await served.tenant(slug).transaction((transaction) => transaction.query('select 1'), {
            isolation: 'repeatable read',
          })
          answered += 1
        } catch (error) {
          failures.push(error)
        }
      }
    }
    const load = Promise.all(['one', 'two', 'one', 'two'].map(client))
    expect(await enterWith('one', 'k1')).toBe('entered')
    const report = await installation.tenancy.keys.rotate({ graceSeconds: 0.5 })
    expect(report).toEqual({ sealing: 'k2', retired: ['k1'], failed: [] })
    const before = answered
    await expect.poll(() => answered, { timeout: 60_000 }).toBeGreaterThan(before + 10)
    rotating = false
    await load
    expect(failures).toEqual([])
    expect(await keysIn('one')).toEqual(['k2'])
    expect(await enterWith('one', 'k1')).toBe('QS004')
    expect(await enterWith('one', 'k2')).toBe('entered')
    // Neither a migration nor a new tenant brings the old one back.
    await installation.tenancy.migrate()
    await installation.tenancy.tenants.create({ slug: 'three', name: 'Three', plan: 'only' })
    expect(await keysIn('three')).toEqual(['k2'])
    expect((await served.tenant('three').query('select 1 as one')).rows).toEqual([{ one: 1 }])
    const { findings } = await installation.tenancy.doctor()
    expect(findings.filter(({ check }) => check.startsWith('token-key'))).toEqual([])
  })

  test('are rotated on after an interruption, wherever it came', async () => {
    installation = await TestInstallation.open(strategy)
    const { keys } = installation.tenancy
    const { databaseName } = await installation.tenancy.tenants.placement('two')
    const reachable = (allowed: boolean) =>
      installation.inCatalog(`alter database "${databaseName}" allow_connections ${allowed}`)
    await reachable(false)
    await expect(keys.rotate({ graceSeconds: 0 })).rejects.toThrow()
    await reachable(true)
    expect(await enterWith('one', 'k1')).toBe('entered')

    const waiting = keys.rotate({ graceSeconds: 3_600, signal: AbortSignal.timeout(1_500) })
    await expect(waiting).rejects.toThrow()
    const rotated = await keys.rotate({ graceSeconds: 0 })
    expect(rotated.sealing).toBe('k2')
    expect(await keysIn('one')).toEqual(['k2'])
    expect(await keysIn('two')).toEqual(['k2'])
    expect(await keys.rotate({ graceSeconds: 0 })).toEqual({ sealing: 'k3', retired: ['k2'], failed: [] })
    expect((await installation.tenancy.tenant('one').query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})
