// Work over all tenants: what a fleet query sees, that it cannot write or become anyone, and that one place's failure is
// an answer.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { decrypt, type FleetAnswer, localKeyProvider } from '../src/index.ts'
import { deriveSeal, sealToken } from '../src/session/token.ts'
import { tokenKeyOf } from '../src/strategies/token-keys.ts'
import { TestInstallation } from './support/installation.ts'

const plans = {
  rls: { strategy: 'rls' },
  schema: { strategy: 'schema' },
  database: { strategy: 'database' },
} as const
const slugs = ['rls-a', 'rls-b', 'schema-a', 'schema-b', 'database-a', 'database-b']
const residents = slugs.map((slug) => [slug])

let installation: TestInstallation

beforeAll(async () => {
  installation = await TestInstallation.open('rls', { plans: { ...plans, only: { strategy: 'rls' } } })
  for (const slug of slugs) {
    const [plan = ''] = slug.split('-')
    await installation.tenancy.tenants.create({ slug, name: slug, plan })
  }
})
afterAll(() => installation.close())
beforeEach(async () => {
  for (const slug of ['one', 'two', ...slugs]) {
    const tenant = installation.tenancy.tenant(slug)
    await tenant.query('delete from note')
    await tenant.query('insert into note (id, body) values (1, $1)', [`of ${slug}`])
  }
})

const answersTo = async <Row extends pg.QueryResultRow>(
  ...asked: Parameters<TestInstallation['tenancy']['fleet']['query']>
) => {
  const answers = new Map<string, FleetAnswer<Row>>()
  for await (const answer of installation.tenancy.fleet.query<Row>(...asked))
    answers.set(answer.tenant.slug, answer)
  return answers
}
const bodies = async () => {
  const outcomes = await installation.tenancy.fleet.forEach(
    async (tenant) => (await tenant.query('select body from note order by id')).rows,
  )
  return Object.fromEntries(outcomes.map(({ tenant, value }) => [tenant.slug, value]))
}
const untouched = Object.fromEntries(['one', 'two', ...slugs].map((slug) => [slug, [{ body: `of ${slug}` }]]))

/** What somebody with the password of the reader of a tenant's database has. */
async function loginAsReader(slug: string): Promise<pg.Client> {
  const { databaseId, databaseName } = await installation.tenancy.tenants.placement(slug)
  const { rows } = await installation.inCatalog(
    "select role_name, credential from catalog.login where database_id = $1 and purpose = 'reader'",
    [databaseId],
  )
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  url.username = rows[0].role_name
  const keys = localKeyProvider(Buffer.from(installation.masterKey, 'base64'))
  url.password = await decrypt(keys, rows[0].credential, `reader login of database ${databaseId}`)
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  return client
}

async function enter(client: pg.Client, slug: string): Promise<void> {
  const { id } = await installation.tenancy.tenants.get(slug)
  const { databaseId, epoch } = await installation.tenancy.tenants.placement(slug)
  const seal = deriveSeal(tokenKeyOf(Buffer.from(installation.masterKey, 'base64'), databaseId), id, epoch)
  const token = sealToken(seal, { actor: null, expiresAtMs: Date.now() + 60_000 })
  await client.query('select quickscale.enter($1, $2, $3)', [...token])
}

test('asks the same of every tenant under every strategy, and tags each answer with its tenant', async () => {
  const answers = await answersTo('select id, body from note where id = $1', [1])
  expect([...answers.keys()].sort()).toEqual(['one', 'two', ...slugs].sort())
  for (const [slug, { tenant, rows, error }] of answers) {
    expect(error, slug).toBeNull()
    expect(tenant.slug).toBe(slug)
    expect(rows).toEqual([{ id: 1, body: `of ${slug}` }])
  }
  const some = await answersTo('select 1', [], { plan: 'schema' })
  expect([...some.keys()].sort()).toEqual(['schema-a', 'schema-b'])
})

test.each([
  'delete from note',
  "update note set body = 'pwned'",
  "insert into note (id, body) values (2, 'pwned')",
  'with gone as (delete from note returning id) select * from gone',
  "with off as (select set_config('transaction_read_only', 'off', true)) select * from off",
  "select set_config('default_transaction_read_only', 'off', false)",
  "select query_to_xml('delete from note', true, true, '')",
  "select query_to_xml('set transaction read write', true, true, '')",
  'select * from note for update',
  'begin read write',
  "set local transaction_read_only = 'off'",
  'select 1; delete from note',
  'select inner_pad from quickscale.token_key',
  'select * from quickscale.placement',
  'do $$ begin delete from note; end $$',
])('lets no injected %s write, nor read what no tenant may', async (text) => {
  for (const answer of (await answersTo(text)).values())
    expect(answer.error, answer.tenant.slug).not.toBeNull()
  expect(await bodies()).toEqual(untouched)
})

test('has two walls against writing, each of which stands alone', async () => {
  for (const slug of slugs.filter((name) => name.endsWith('-a'))) {
    await answersTo('select 1')
    const { databaseName, schemaName } = await installation.tenancy.tenants.placement(slug)
    const reader = await loginAsReader(slug)
    // The role: also in a transaction that may write.
    await reader.query('begin read write')
    await enter(reader, slug)
    await expect(reader.query("update note set body = 'pwned'"), slug).rejects.toMatchObject({
      code: '42501',
    })
    await reader.query('rollback')
    // The transaction: also where somebody has granted the role too much, or runs with its owner's rights.
    await installation.inDatabase(databaseName, `grant update on ${schemaName}.note to quickscale_reader`)
    try {
      await reader.query('begin')
      await enter(reader, slug)
      await expect(reader.query("update note set body = 'pwned'"), slug).rejects.toMatchObject({
        code: '25006',
      })
      await reader.query('rollback')
      const answers = await answersTo(
        "with done as (update note set body = 'pwned' returning id) select * from done",
      )
      expect(answers.get(slug)?.error).toMatchObject({ code: '25006' })
      await answersTo("select set_config('transaction_read_only', 'off', false)")
      await answersTo("select set_config('default_transaction_read_only', 'off', false)")
      expect((await answersTo("update note set body = 'pwned'")).get(slug)?.error).toMatchObject({
        code: '25006',
      })
    } finally {
      await installation.inDatabase(
        databaseName,
        `revoke update on ${schemaName}.note from quickscale_reader`,
      )
      await reader.end()
    }
  }
  expect(await bodies()).toEqual(untouched)
})

test.each(residents)(
  "its reader sees nothing of %s without that tenant's token, and owns nothing",
  async (slug) => {
    await answersTo('select 1')
    const reader = await loginAsReader(slug)
    const { schemaName } = await installation.tenancy.tenants.placement(slug)
    await expect(reader.query(`select * from ${schemaName}.note`)).rejects.toThrow()
    await enterAndForge(reader, slug, schemaName)
    for (const text of [
      'create table x (id integer)',
      `truncate ${schemaName}.note`,
      'set role quickscale_runtime',
      'set role quickscale_silo',
      'set role quickscale_owner',
      'select * from quickscale.token_key',
      'select quickscale.enter_unscoped()',
      'create temp table x (id integer)',
    ]) {
      await expect(reader.query(text), text).rejects.toThrow()
    }
    await reader.end()
  },
)

async function enterAndForge(reader: pg.Client, slug: string, schemaName: string): Promise<void> {
  await reader.query('begin')
  await enter(reader, slug)
  const { rows } = await reader.query(`select body from ${schemaName}.note`)
  expect(rows).toEqual([{ body: `of ${slug}` }])
  await reader.query('commit')
  await expect(reader.query(`select * from ${schemaName}.note`)).rejects.toThrow()
}

test.each(residents)('a session of %s cannot become its reader', async (slug) => {
  await answersTo('select 1')
  const { rows } = await installation.inCatalog(
    "select role_name from catalog.login where purpose = 'reader'",
  )
  const login = await installation.loginTo(slug)
  for (const role of ['quickscale_reader', ...rows.map((row) => row.role_name)]) {
    await expect(login.query(`set role ${pg.escapeIdentifier(role)}`), role).rejects.toMatchObject({
      code: '42501',
    })
    await expect(login.query(`set session authorization ${pg.escapeIdentifier(role)}`)).rejects.toThrow()
  }
  await login.end()
  await expect(installation.tenancy.tenant(slug).query('set role quickscale_reader')).rejects.toMatchObject({
    code: 'STATEMENT_REFUSED',
  })
})

test('answers with the error of a place that cannot be entered, and with the rows of all others', async () => {
  const { id } = await installation.tenancy.tenants.get('rls-a')
  const { databaseName } = await installation.tenancy.tenants.placement('rls-a')
  const setState = (state: string) =>
    installation.inDatabase(databaseName, 'update quickscale.placement set state = $2 where tenant_id = $1', [
      id,
      state,
    ])
  await setState('suspended')
  try {
    const answers = await answersTo('select body from note')
    expect(answers.get('rls-a')).toMatchObject({
      rows: [],
      error: { code: expect.stringContaining('TENANT') },
    })
    expect([...answers.values()].filter(({ error }) => error === null)).toHaveLength(slugs.length + 1)
  } finally {
    await setState('active')
  }
  const failing = await answersTo("select 1 / (case when body = 'of schema-b' then 0 else 1 end) from note")
  expect(failing.get('schema-b')?.error).toMatchObject({ code: '22012' })
  expect([...failing.values()].filter(({ error }) => error === null)).toHaveLength(slugs.length + 1)
})

describe('for each tenant', () => {
  test('works in its own handle, no more at a time than asked for, and reports every outcome', async () => {
    let running = 0
    let most = 0
    const outcomes = await installation.tenancy.fleet.forEach(
      async (tenant) => {
        running += 1
        most = Math.max(most, running)
        await sleep(20)
        await tenant.query("update note set body = body || '!'")
        running -= 1
        if ((await tenant.query('select body from note')).rows[0]?.body === 'of two!')
          throw new Error('not this one')
        return (await tenant.query('select body from note')).rows[0]?.body
      },
      { concurrency: 3 },
    )
    expect(most).toBe(3)
    expect(outcomes).toHaveLength(slugs.length + 2)
    for (const { tenant, value, error } of outcomes) {
      if (tenant.slug === 'two') expect(error).toMatchObject({ message: 'not this one' })
      else expect([value, error]).toEqual([`of ${tenant.slug}!`, null])
    }
  })

  test('stops when it is called off, and starts nothing after that', async () => {
    const controller = new AbortController()
    let started = 0
    const working = installation.tenancy.fleet.forEach(
      async (_tenant, signal) => {
        started += 1
        if (started === 2) controller.abort(new Error('called off'))
        await new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true })
          if (signal.aborted) reject(signal.reason)
        })
      },
      { concurrency: 2, signal: controller.signal },
    )
    await expect(working).rejects.toThrow('called off')
    expect(started).toBe(2)
    const late = installation.tenancy.fleet.forEach(async () => 1, {
      signal: AbortSignal.abort(new Error('late')),
    })
    await expect(late).rejects.toThrow('late')
  })

  test('leaves no query running when a loop over answers is left', async () => {
    for await (const answer of installation.tenancy.fleet.query(
      "select pg_sleep(case when body = 'of one' then 0 else 30 end) from note",
    )) {
      expect(answer.error).toBeNull()
      break
    }
    expect(await bodies()).toEqual(untouched)
  })
})
