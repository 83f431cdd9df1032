// Several servers in one installation. The second one is an embedded server of this file.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedServer, startEmbeddedServer } from '../src/embedded/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const plans = {
  only: { strategy: 'rls' as const },
  ...Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
}

let directory: string
let second: EmbeddedServer
let installation: TestInstallation

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-servers-test-'))
  // The server may run as another user, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  second = await startEmbeddedServer({ directory, ephemeral: true })
  installation = await TestInstallation.open('rls', { plans, servers: { second: { url: second.url } } })
})
afterAll(async () => {
  await installation?.close()
  await second?.stop()
  await rm(directory, { recursive: true, force: true })
})

async function onSecond(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: second.url })
  await client.connect()
  try {
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

test('every server gets shared tables and a template, is examined, and holds no catalog', async () => {
  const { tenancy, name } = installation
  const names = await onSecond(
    'select datname as name from pg_database where starts_with(datname, $1) order by 1',
    [name],
  )
  expect(names).toEqual([{ name: `${name}_pool` }, { name: `${name}_template` }])
  const { rows } = await installation.inCatalog(
    `select server.name as server, database.name from catalog.database join catalog.server on server.id = server_id
      order by 1, 2`,
  )
  expect(rows).toEqual(
    ['primary', 'second'].flatMap((server) =>
      ['pool', 'template'].map((part) => ({ server, name: `${name}_${part}` })),
    ),
  )
  expect((await tenancy.migrate()).applied).toBe(0)
  expect((await tenancy.drift()).places).toBe(4)
  const { databases, findings } = await tenancy.doctor()
  expect({ databases, errors: findings.filter(({ level }) => level === 'error') }).toEqual({
    databases: 4,
    errors: [],
  })
})

test('the keys of two servers differ, although their databases have the same name', async () => {
  const digest = "select md5(string_agg(inner_pad || outer_pad, '')) as digest from quickscale.token_key"
  const [here] = (await installation.inDatabase(`${installation.name}_pool`, digest)).rows
  const url = new URL(second.url)
  url.pathname = `/${installation.name}_pool`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  const [there] = (await client.query(digest)).rows
  await client.end()
  expect(there.digest).not.toBe(here.digest)
})

test('a server that tenants live on and the configuration has forgotten is missed by name, and no URL is shown', async () => {
  const forgetful = await installation.another('rls', { plans })
  for (const work of [forgetful.drift, forgetful.doctor, forgetful.migrate]) {
    const error = await work().catch((caught: Error) => caught)
    expect(error).toMatchObject({ code: 'SERVER_UNKNOWN', details: { server: 'second', known: 'primary' } })
    expect(JSON.stringify([error, String(error)])).not.toContain(new URL(second.url).password)
  }
})
