import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { expect, inject, test } from 'vitest'

const run = promisify(execFile)

function bench(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const main = join(import.meta.dirname, '../bench/main.ts')
  const env = { ...process.env, QUICKSCALE_DATABASE_URL: inject('databaseUrl') }
  return run(process.execPath, ['--conditions=quickscale-source', main, ...args], { env })
}

async function installations(): Promise<string[]> {
  const client = new pg.Client({ connectionString: inject('databaseUrl') })
  await client.connect()
  const { rows } = await client.query<{ name: string }>(
    `select datname as name from pg_database where starts_with(datname, 'bench_')
     union all select rolname from pg_roles where starts_with(rolname, 'bench_')`,
  )
  await client.end()
  return rows.map(({ name }) => name)
}

const machine = expect.objectContaining({ cores: expect.any(Number), fsync: expect.stringMatching(/^o/) })
const positive = expect.toSatisfy((value: number) => value > 0)

test('the query benchmark prints one object, finds one round trip under every strategy, and cleans up', async () => {
  const { stdout, stderr } = await bench('query', '--json', '--quick')
  const report = JSON.parse(stdout)
  expect(stderr).toBe('')
  expect(report).toEqual({
    name: 'query',
    machine,
    rounds: 1,
    noise: expect.any(Number),
    rows: expect.any(Array),
  })
  const trips = { raw: 1, rls: 1, schema: 1, database: 1, 'sequential-guc': 4 }
  const expected = ['loopback', '1ms'].flatMap((network) =>
    ['point', 'page', 'insert'].flatMap((query) =>
      [1, 8].flatMap((clients) =>
        Object.entries(trips).map(([subject, roundTrips]) => ({
          subject,
          query,
          network,
          clients,
          costRatio: subject === 'raw' ? 1 : positive,
          roundTrips,
          wrongTenant: 0,
          p50Ms: positive,
          qps: positive,
        })),
      ),
    ),
  )
  expect(report.rows).toEqual(expected)
  expect(await installations()).toEqual([])
})

test('the tenants benchmark compares ten tenants with all', async () => {
  const { stdout } = await bench('tenants', '--json', '--quick')
  const row = (tenants: number) => ({ tenants, clients: 8, p50Ms: positive, qps: positive })
  expect(JSON.parse(stdout)).toEqual({
    name: 'tenants',
    machine,
    rounds: 1,
    noise: expect.any(Number),
    rows: [row(10), row(20)],
    ratio: positive,
    provisioning: { tenants: 20, seconds: positive },
  })
  expect(await installations()).toEqual([])
})

test('the silos benchmark asks every database with few connections, and cleans up', async () => {
  const { stdout } = await bench('silos', '--json', '--quick')
  expect(JSON.parse(stdout)).toEqual({
    name: 'silos',
    machine,
    silos: 3,
    budget: 50,
    answered: positive,
    errors: 0,
    starved: 0,
    heldStartMb: positive,
    heldEndMb: positive,
    rssStartMb: positive,
    rssEndMb: positive,
    connectionsMax: positive,
    p50Ms: positive,
    p99Ms: positive,
  })
  expect(await installations()).toEqual([])
})

test('the http benchmark compares each route under every strategy with the same one without tenancy', async () => {
  const { stdout } = await bench('http', '--json', '--quick')
  const measured = {
    requestRatio: positive,
    p99Ratio: positive,
    requestsPerSecond: positive,
    p99Ms: positive,
  }
  const rows = ['GET contacts', 'POST contact'].flatMap((route) =>
    ['rls', 'schema', 'database'].map((strategy) => ({ strategy, route, ...measured })),
  )
  expect(JSON.parse(stdout)).toEqual({
    name: 'http',
    machine,
    rounds: 1,
    noise: 0,
    rows,
    neighbourP99Ratio: positive,
    refusalsP99Ratio: positive,
    neighbourP99Ms: { alone: positive, flooded: positive },
    onsetMs: { p50: positive, max: positive },
    flood: { answered: expect.any(Number), refused: expect.any(Number) },
  })
  expect(await installations()).toEqual([])
})

test('the provision benchmark compares each strategy with its bare DDL', async () => {
  const { stdout } = await bench('provision', '--json', '--quick')
  const row = (subject: string, ratio: unknown) => ({ subject, mode: 'cold', p50Ms: positive, ratio })
  expect(JSON.parse(stdout)).toEqual({
    name: 'provision',
    machine,
    rounds: 2,
    noise: expect.any(Number),
    rows: [
      row('bare-schema', 1),
      row('bare-database', 1),
      row('rls', null),
      row('schema', positive),
      row('database', positive),
      { ...row('database', positive), mode: 'warm' },
    ],
  })
  expect(await installations()).toEqual([])
})

test('the search benchmark says which indexes are used, and cleans up', async () => {
  const { stdout } = await bench('search', '--json', '--quick', '--rows', '20000')
  const kinds = ['numeric', 'enum', 'like-prefix', 'full-text', 'trigram', 'jsonb', 'jsonb-key']
  const row = (kind: string, strategy: string) => ({
    kind,
    strategy,
    ratio: positive,
    indexUsed: true,
    p50Ms: positive,
    plainP50Ms: positive,
  })
  expect(JSON.parse(stdout)).toEqual({
    name: 'search',
    machine,
    rounds: 1,
    noise: 0,
    rowsPerTenant: 20_000,
    rows: kinds.flatMap((kind) => ['rls', 'schema', 'database'].map((strategy) => row(kind, strategy))),
  })
  expect(await installations()).toEqual([])
})

test('measures only what is asked for, and raw with it', async () => {
  const { stdout } = await bench('query', '--json', '--quick', '--only', 'schema,page,loopback,8')
  const rows: { subject: string }[] = JSON.parse(stdout).rows
  expect(rows).toMatchObject(
    ['raw', 'schema'].map((subject) => ({ subject, query: 'page', network: 'loopback', clients: 8 })),
  )
})

test.each([
  [['nothing']],
  [[]],
  [['query', '--only', 'point,fast']],
  [['query', '--rounds', '0']],
  [['--x']],
])('says how it is used when called with %j', async (args) => {
  await expect(bench(...args)).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/Usage/),
  })
})
