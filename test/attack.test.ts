import { beforeAll, describe, expect, inject, test } from 'vitest'
import type { Attack } from '../attack/attack.ts'
import { attacks } from '../attack/attacks/index.ts'
import { formatResult } from '../attack/report.ts'
import { isSound, runSuite, type SuiteResult } from '../attack/suite.ts'

const harmless: Attack['naive'] = {
  design: 'shared-tables',
  run: async (ground) => {
    const session = await ground.raw()
    await session.try(['rows'], 'select * from contact')
  },
}

/** What the suite must notice, whatever the library does. */
const planted: readonly Attack[] = [
  {
    id: 'planted-write',
    title: "the owner changes the victim's row",
    naive: harmless,
    run: async (ground) => {
      await ground.api().try(['rows'], 'select 1')
      await ground.owner.query(
        `update ${ground.victim.schema}.note set body = 'changed' where tenant_id = $1`,
        [ground.victim.id],
      )
    },
  },
  {
    id: 'planted-read',
    title: "the attacker is shown the victim's row",
    naive: harmless,
    run: async (ground) => {
      await ground.api().try(['rows'], 'select $1::text', [`note of ${ground.victim.canary}`])
    },
  },
  {
    id: 'planted-surprise',
    title: 'a statement ends as nobody has foreseen',
    naive: harmless,
    run: async (ground) => void (await ground.api().try(['42501'], 'select 1 / 0')),
  },
  { id: 'planted-idleness', title: 'nothing is tried', naive: harmless, run: async () => undefined },
]

const verdictsOf = ({ attacks: results }: SuiteResult, id: string) => {
  const { naive, rls, schema, database } = results.find((result) => result.id === id) ?? {}
  return [naive, rls, schema, database]
}

let result: SuiteResult

beforeAll(async () => {
  result = await runSuite({ databaseUrl: inject('databaseUrl'), attacks: [...attacks, ...planted] })
}, 300_000)

describe('the attack suite', () => {
  test('has attacks enough, each with a name of its own', () => {
    expect(attacks.length).toBeGreaterThanOrEqual(50)
    expect(new Set(attacks.map(({ id }) => id)).size).toBe(attacks.length)
  })

  test.each(attacks.map(({ id, title }) => [id, title]))(
    '%s succeeds on its naive target and is blocked under every strategy: %s',
    (id) => {
      const reasons = result.findings.filter(({ attack }) => attack === id)
      expect(reasons).toEqual([])
      expect(verdictsOf(result, id)).toEqual(['succeeded', 'blocked', 'blocked', 'blocked'])
    },
  )

  test('notices foreign rows read or written, outcomes nobody has foreseen, and attacks that try nothing', () => {
    expect(verdictsOf(result, 'planted-write')).toEqual(['failed', 'leaked', 'leaked', 'leaked'])
    expect(verdictsOf(result, 'planted-read')).toEqual(['failed', 'leaked', 'leaked', 'leaked'])
    expect(verdictsOf(result, 'planted-surprise')).toEqual(['failed', 'invalid', 'invalid', 'invalid'])
    expect(verdictsOf(result, 'planted-idleness')).toEqual(['failed', 'invalid', 'invalid', 'invalid'])
    expect(isSound(result.summary)).toBe(false)
    expect(
      isSound({ ...result.summary, leaked: 0, invalid: 0, naiveSucceeded: result.summary.attacks }),
    ).toBe(true)
  })

  test('says in its table which attack failed where, and why', () => {
    const text = formatResult(result, false)
    expect(text).toContain('planted-write')
    expect(text).toContain('planted-surprise, rls: invalid')
    expect(text).toMatch(/attacker expected 42501, got 22012 .* for: select 1 \/ 0/)
    expect(text).not.toContain('\u001b')
  })
})
