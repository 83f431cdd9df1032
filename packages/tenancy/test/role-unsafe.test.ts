// Roles that policies do not bind, or that could lift them, are refused when a connection opens.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

let installation: TestInstallation
beforeAll(async () => {
  installation = await TestInstallation.open('rls', {
    plans: { only: { strategy: 'rls' }, schema: { strategy: 'schema' }, database: { strategy: 'database' } },
  })
  for (const plan of ['schema', 'database'])
    await installation.tenancy.tenants.create({ slug: plan, name: plan, plan })
})
afterAll(() => installation.close())

const slugs: Readonly<Record<Strategy, string>> = { rls: 'one', schema: 'schema', database: 'database' }

// {login} is the login role of the tenant's database, {schema} that of its tables.
const unsafe: readonly (readonly [string, string, string])[] = [
  ['it is a superuser', 'alter role {login} superuser', 'alter role {login} nosuperuser'],
  ['it has BYPASSRLS', 'alter role {login} bypassrls', 'alter role {login} nobypassrls'],
  [
    'it is a member of quickscale_owner',
    'grant quickscale_owner to {login}',
    'revoke quickscale_owner from {login}',
  ],
  [
    'it is a member of quickscale_seal',
    'grant quickscale_seal to {login}',
    'revoke quickscale_seal from {login}',
  ],
  [
    'it owns tables, functions or schemas here',
    'alter table {schema}.note owner to {login}',
    'alter table {schema}.note owner to quickscale_owner',
  ],
]

describe.each(strategies)('a login role of the %s strategy', (strategy: Strategy) => {
  const slug = slugs[strategy]
  /** A process that has no connection yet asks for rows. */
  const ask = async (): Promise<{ code: string; message: string }> => {
    const tenancy = await installation.another(strategy)
    const outcomes = [
      () => tenancy.tenant(slug).query('select body from note'),
      () => tenancy.tenant(slug).transaction((transaction) => transaction.query('select body from note')),
    ].map((attempt) =>
      attempt().then(
        () => ({ code: 'rows', message: '' }),
        ({ code, message }: { code: string; message: string }) => ({ code, message }),
      ),
    )
    const [first, second] = await Promise.all(outcomes)
    expect(second?.code).toBe(first?.code)
    return first ?? { code: 'none', message: '' }
  }
  const change = async (sql: string) => {
    const { databaseName, schemaName } = await installation.tenancy.tenants.placement(slug)
    const words: Readonly<Record<string, string>> = { login: databaseName, schema: schemaName }
    await installation.inDatabase(
      databaseName,
      sql.replace(/\{(\w+)\}/g, (_, word: string) => words[word] ?? ''),
    )
  }

  test.each(unsafe)(
    'is refused by name and reason before anything is asked of it, and served again when it is mended: %s',
    async (reason, plant, mend) => {
      await change(plant)
      const { code, message } = await ask().finally(() => change(mend))
      expect(code).toBe('ROLE_UNSAFE')
      expect(message).toContain(reason)
      expect(message).toContain((await installation.tenancy.tenants.placement(slug)).databaseName)
      expect((await ask()).code).toBe('rows')
    },
  )

  test("is not what the application's own login is", async () => {
    expect((await ask()).code).toBe('rows')
    for await (const { error } of installation.tenancy.fleet.query('select count(*) from note'))
      expect(error).toBeNull()
  })
})
