import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type EmbeddedServer, startEmbeddedServer } from '../src/embedded/index.ts'
import { createTenancy, type Tenancy, type TenantHandle } from '../src/index.ts'
import { sqlFiles } from '../src/sql-files.ts'
import {
  assertServer,
  createAdministrator,
  findUnsuitability,
  type ServerFacts,
} from '../src/strategies/administrator.ts'
import { strategies } from './support/installation.ts'

const RIGHTS = 'login createdb createrole bypassrls'
const masterKey = randomBytes(32).toString('base64')

async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function urlOf(base: string, user: string, password: string): string {
  return Object.assign(new URL(base), { username: user, password }).href
}

describe('an administrator is judged by version and rights:', () => {
  const suitable: ServerFacts = {
    version: 16,
    administrator: 'admin',
    superuser: false,
    lacking: [],
    ungrantable: [],
  }
  test.each([
    [suitable, null],
    [{ ...suitable, version: 15, superuser: true, lacking: ['CREATEDB'] }, null],
    [{ ...suitable, version: 14, superuser: true }, 'version 14 is too old'],
    [
      { ...suitable, version: 15 },
      'on version 15 the administrator must be a superuser: nobody else can create a role with BYPASSRLS',
    ],
    [{ ...suitable, lacking: ['CREATEROLE', 'BYPASSRLS'] }, 'the administrator lacks CREATEROLE, BYPASSRLS'],
    [
      { ...suitable, administrator: 'A', ungrantable: ['quickscale_owner', 'quickscale_silo'] },
      'another administrator has made roles that this one may not grant; let that one, or a superuser, run GRANT quickscale_owner, quickscale_silo TO "A" WITH ADMIN OPTION',
    ],
  ] satisfies [ServerFacts, string | null][])('%j', (facts, reason) => {
    expect(findUnsuitability(facts)).toBe(reason)
  })
})

test('who is no superuser is refused on 15, and from 16 on where the roles are not theirs to grant', async () => {
  const name = `admin_${randomBytes(6).toString('hex')}`
  const base = inject('databaseUrl')
  const version = await connected(base, async (client) => {
    await client.query("begin; select pg_advisory_xact_lock(hashtextextended('quickscale roles', 0))")
    for (const file of await sqlFiles('server')) await client.query(file.text)
    await client.query(`create role ${name} ${RIGHTS} password 'test'; commit`)
    const { rows } = await client.query(`select current_setting('server_version_num')::integer as number`)
    return Math.trunc(rows[0].number / 10_000)
  })
  try {
    await expect(connected(urlOf(base, name, 'test'), assertServer)).rejects.toMatchObject({
      code: 'SERVER_UNSUITABLE',
      message: expect.stringContaining(
        version < 16
          ? `on version ${version} the administrator must be a superuser`
          : `TO "${name}" WITH ADMIN OPTION`,
      ),
    })
    await connected(base, assertServer)
  } finally {
    await connected(base, (client) => client.query(`drop role ${name}`))
  }
})

test('a server that accepts a connection and says nothing is given up, by code', async () => {
  const server = createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const administrator = createAdministrator(`postgres://a:very-secret@127.0.0.1:${port}/postgres`, 100)
  try {
    for (const work of [administrator.connected, administrator.pooled]) {
      const error = await work('postgres', async () => undefined).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'SERVER_UNREACHABLE', details: { server: `127.0.0.1:${port}` } })
      expect(`${error} ${JSON.stringify(error)}`).not.toContain('very-secret')
    }
    expect(sockets.size).toBe(2)
  } finally {
    await administrator.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
})

describe('an administrator who is no superuser', () => {
  let directory: string
  let server: EmbeddedServer
  const tenancies: Tenancy[] = []

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'quickscale-administrator-test-'))
    // The server may run as another user, and mkdtemp lets nobody else in.
    await chmod(directory, 0o711)
    server = await startEmbeddedServer({ directory, ephemeral: true })
    await asSuperuser(
      `create role first ${RIGHTS} password 'test'; create role second ${RIGHTS} noinherit password 'test';
       create role poor login createdb password 'test'`,
    )
  })
  afterAll(async () => {
    for (const tenancy of tenancies) await tenancy.close()
    await server.stop()
    await rm(directory, { recursive: true, force: true })
  })

  const asSuperuser = (text: string) => connected(server.url, (client) => client.query(text))
  const open = async (
    administrator: string,
    seed: (tenant: TenantHandle) => Promise<void> = async () => undefined,
  ) => {
    const tenancy = await createTenancy({
      databaseUrl: urlOf(server.url, administrator, 'test'),
      installation: administrator,
      masterKey,
      migrations: [fileURLToPath(new URL('./support/migrations', import.meta.url))],
      plans: Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
      seed,
    })
    tenancies.push(tenancy)
    return tenancy
  }

  test('is refused without CREATEROLE and BYPASSRLS, before anything is made', async () => {
    const poor = await open('poor')
    await expect(poor.migrate()).rejects.toMatchObject({
      code: 'SERVER_UNSUITABLE',
      message: expect.stringContaining('the administrator lacks CREATEROLE, BYPASSRLS'),
    })
    const { rows } = await asSuperuser(
      `select rolname as name from pg_roles where rolname like 'quickscale%'
       union all select datname from pg_database where datname like 'poor%'`,
    )
    expect(rows).toEqual([])
  })

  test('makes an installation whose tenants are used, taken away and made again', async () => {
    let broken = false
    const tenancy = await open('first', async (tenant) => {
      await tenant.query(`insert into author values (1, 'Seeded')`)
      if (broken) throw new Error('seed is broken')
    })
    await tenancy.migrate()
    for (const strategy of strategies) {
      await tenancy.tenants.create({ slug: strategy, name: strategy, plan: strategy })
      const tenant = tenancy.tenant(strategy)
      await tenant.transaction(async (transaction) => {
        await transaction.query(`insert into note (id, body, author_id) values (1, 'Hello', 1)`)
      })
      const { rows } = await tenant.query('select body, name from note join author on author.id = author_id')
      expect(rows).toEqual([{ body: 'Hello', name: 'Seeded' }])

      broken = true
      const other = { slug: `other-${strategy}`, name: strategy, plan: strategy }
      await expect(tenancy.tenants.create(other)).rejects.toThrow('seed is broken')
      broken = false
      await tenancy.tenants.create(other)
      expect((await tenancy.tenant(other.slug).query('select * from note')).rows).toEqual([])
    }
    expect(await tenancy.migrate()).toMatchObject({ applied: 0 })
  })

  test('works with the roles of another one as soon as that one lets it grant them', async () => {
    const tenancy = await open('second')
    const refusal = await tenancy.migrate().catch((error: Error) => error.message)
    const grant = /GRANT quickscale_.* TO "second" WITH ADMIN OPTION/.exec(String(refusal))?.[0] ?? ''
    await connected(urlOf(server.url, 'first', 'test'), (client) => client.query(grant))
    await tenancy.migrate()
    for (const strategy of strategies) {
      await tenancy.tenants.create({ slug: strategy, name: strategy, plan: strategy })
      await tenancy.tenant(strategy).query(`insert into author values (2, 'Second')`)
      expect((await tenancy.tenant(strategy).query('select name from author')).rows).toEqual([
        { name: 'Second' },
      ])
    }
  })
})
