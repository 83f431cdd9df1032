import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { deriveSeal, sealToken, type Token } from '../src/session/token.ts'
import { tokenKeyOf } from '../src/strategies/token-keys.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const hourMs = 3_600_000

describe.each(strategies)('a token under the %s strategy', (strategy: Strategy) => {
  let installation: TestInstallation
  let login: pg.Client
  let token: Token
  let id: string
  let databaseId: string

  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    login = await installation.loginTo('one')
    id = (await installation.tenancy.tenants.get('one')).id
    databaseId = (await installation.tenancy.tenants.placement('one')).databaseId
    token = seal()
  })
  afterAll(async () => {
    await login.end()
    await installation.close()
  })

  const seal = (
    change: {
      tenantId?: string
      epoch?: number
      databaseId?: string
      masterKey?: Buffer
      expiresAtMs?: number
    } = {},
  ) => {
    const key = tokenKeyOf(
      change.masterKey ?? Buffer.from(installation.masterKey, 'base64'),
      change.databaseId ?? databaseId,
    )
    const expiresAtMs = change.expiresAtMs ?? Date.now() + hourMs
    return sealToken(deriveSeal(key, change.tenantId ?? id, change.epoch ?? 1), { actor: null, expiresAtMs })
  }
  /** The SQLSTATE with which enter() answers, or the tenant it opens. */
  const enter = async (attempt: readonly unknown[]): Promise<string> => {
    await login.query('begin')
    try {
      await login.query('select quickscale.enter($1, $2, $3)', [...attempt])
      return (await login.query('select tenant_id from quickscale.context')).rows[0].tenant_id
    } catch (error) {
      return error instanceof pg.DatabaseError ? (error.code ?? '') : String(error)
    } finally {
      await login.query('rollback')
    }
  }

  test('opens its tenant, for one transaction', async () => {
    expect(await enter(token)).toBe(id)
    await expect(login.query('select tenant_id from quickscale.context')).rejects.toMatchObject({
      code: 'QS006',
    })
  })

  test('is refused when it has expired, is for another database, another installation, another epoch or nobody here', async () => {
    expect(await enter(seal({ expiresAtMs: Date.now() - 1000 }))).toBe('QS005')
    expect(await enter(seal({ databaseId: '0198c0de-0000-7000-8000-000000000000' }))).toBe('QS004')
    expect(await enter(seal({ masterKey: Buffer.alloc(32, 1) }))).toBe('QS004')
    expect(await enter(seal({ epoch: 2 }))).toBe('QS001')
    expect(await enter(seal({ tenantId: '0198c0de-0000-7000-8000-000000000000' }))).toBe('QS003')
    expect(await enter([null, null, null])).toBe('QS004')
  })

  test('does not open another tenant when its parts are exchanged', async () => {
    const other = (await installation.tenancy.tenants.get('two')).id
    const [gateId, claims, mac] = token
    const [otherGate, otherClaims, otherMac] = seal({ tenantId: other })
    for (const parts of [
      [otherGate, claims, mac],
      [gateId, otherClaims, mac],
      [gateId, claims, otherMac],
      [otherGate, otherClaims, mac],
      [otherGate, claims, otherMac],
      [gateId, otherClaims, otherMac],
    ]) {
      expect(await enter(parts)).toBe('QS004')
    }
  })

  test('is refused after any change to any of its parts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 1, 2),
        fc.nat({ max: 200 }),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (part, at, difference, cut) => {
          const changed: unknown[] = [...token]
          const bytes = Buffer.from(part === 0 ? Buffer.from(token[0]) : (token[part] as Buffer))
          const position = at % bytes.length
          bytes[position] = (bytes[position] ?? 0) ^ (part === 0 ? (difference % 15) + 1 : difference)
          const mutated = cut ? bytes.subarray(0, position) : bytes
          changed[part] = part === 0 ? mutated.toString('latin1').replaceAll('\0', '0') : mutated
          if (part === 0 && changed[0] === token[0]) return
          expect(['QS004', '22021']).toContain(await enter(changed))
        },
      ),
      { numRuns: 150 },
    )
  })

  test('cannot be made up, whatever is given', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.string(), fc.constant(token[0])),
        fc.uint8Array({ maxLength: 64 }),
        fc.uint8Array({ maxLength: 40 }),
        async (gateId, claims, mac) => {
          expect(['QS004', '22021']).toContain(await enter([gateId, Buffer.from(claims), Buffer.from(mac)]))
        },
      ),
      { numRuns: 150 },
    )
  })

  test('cannot be forged as a context', async () => {
    const contexts = [
      '',
      'x',
      '0'.repeat(112),
      `${'0'.repeat(64)}${id.replaceAll('-', '')}`,
      token[1].toString('hex'),
    ]
    for (const context of contexts) {
      await login.query('begin')
      await login.query(`set local quickscale.context = '${context}'`)
      await expect(login.query('select tenant_id from quickscale.context')).rejects.toMatchObject({
        code: expect.stringMatching(/^(QS006|22023)$/),
      })
      await login.query('rollback')
    }
  })

  test('is sealed anew when a clock was set, without the caller noticing', async () => {
    const one = installation.tenancy.tenant('one')
    await one.query('select 1')
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      for (const jump of [-hourMs, 2 * hourMs]) {
        vi.setSystemTime(Date.now() + jump)
        expect((await one.query('select 1 as one')).rows).toEqual([{ one: 1 }])
      }
    } finally {
      vi.useRealTimers()
    }
  })
})
