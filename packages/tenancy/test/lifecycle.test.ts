// What happens between the calls: connections that are lost, processes that overtake each other, pools that give way.
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { localKeyProvider, type Strategy, type Tenancy } from '../src/index.ts'
import { installKeys, tokenKeyOf } from '../src/strategies/token-keys.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

const unheard: string[] = []
const note = (error: unknown) => unheard.push(String(error))
beforeAll(() => {
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
})
afterAll(() => {
  process.off('uncaughtException', note)
  process.off('unhandledRejection', note)
})
beforeEach(() => {
  unheard.length = 0
})

let installation: TestInstallation
afterEach(() => installation.close())

const three = { slug: 'three', name: 'Three', plan: 'only' }

/** A connection of the administrator's, in a transaction that `text` begins. */
async function hold(databaseName: string, text: string): Promise<{ client: pg.Client; pid: number }> {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query(`begin; ${text}`)
  const { rows } = await client.query('select pg_backend_pid() as pid')
  return { client, pid: rows[0].pid }
}

/** Resolves as soon as somebody waits for what the connection holds. */
async function blockedBy(pid: number): Promise<number> {
  for (;;) {
    const { rows } = await installation.inCatalog(
      'select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))',
      [pid],
    )
    if (rows.length > 0) return rows[0].pid
    await sleep(10)
  }
}

const endLocks = () =>
  installation.inCatalog(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity
      where application_name = 'quickscale locks' and datname = current_database()`,
  )

describe('a connection that is lost at work', () => {
  type Work = (tenancy: Tenancy<NoteTables>) => Promise<unknown>
  const create: Work = (tenancy) => tenancy.tenants.create(three)
  const cases: [what: string, databaseSuffix: string, held: string, work: Work][] = [
    ['of the catalog', 'catalog', 'lock table catalog.tenant', (tenancy) => tenancy.tenants.get('one')],
    ['of a lock', 'catalog', "select pg_advisory_xact_lock(hashtextextended('migrate', 0))", create],
    ['of the administrator', 'pool', 'lock table quickscale.placement', create],
    ['of a migration', 'pool', 'lock table quickscale.migration', (tenancy) => tenancy.migrate()],
  ]

  test.each(cases)('costs an error and not the process: %s', async (_what, suffix, held, work) => {
    installation = await TestInstallation.open('rls')
    const network = await brittleNetwork()
    const tenancy = await installation.another('rls', { databaseUrl: network.url })
    const holder = await hold(`${installation.name}_${suffix}`, held)
    const outcome = work(tenancy).then(
      () => 'done',
      () => 'failed',
    )
    await blockedBy(holder.pid)
    network.cut()
    await holder.client.end()
    expect(await outcome).toBe('failed')
    await sleep(50)
    expect(unheard).toEqual([])
    expect(await work(tenancy)).toBeDefined()
    await tenancy.close()
    network.close()
  })
})

describe.each(strategies)('making a tenant under the %s strategy', (strategy: Strategy) => {
  test('touches nothing of a tenant that another process has finished meanwhile', async () => {
    installation = await TestInstallation.open(strategy)
    const overtaken = await installation.another(strategy, {
      seed: async () => {
        await endLocks()
        await installation.tenancy.tenants.create(three)
        await installation.tenancy.tenant('three').query("insert into note (id, body) values (1, 'kept')")
        throw new Error('the seed failed')
      },
    })
    await expect(overtaken.tenants.create(three)).rejects.toMatchObject({ code: 'LOCK_LOST' })
    expect(await installation.tenancy.tenants.get('three')).toMatchObject({ state: 'active' })
    const { rows } = await installation.tenancy.tenant('three').query('select body from note')
    expect(rows).toEqual([{ body: 'kept' }])
    expect(unheard).toEqual([])
  })

  test('takes nothing away that is active, even when the loss of the lock went unnoticed', async () => {
    installation = await TestInstallation.open(strategy)
    const overtaken = await installation.another(strategy, {
      seed: async () => {
        await installation.inCatalog("update catalog.tenant set state = 'active' where slug = 'three'")
        throw new Error('the seed failed')
      },
    })
    await expect(overtaken.tenants.create(three)).rejects.toThrow('the seed failed')
    const { rows } = await installation.tenancy
      .tenant('three')
      .query('select count(*)::integer as count from note')
    expect(rows).toEqual([{ count: 0 }])
  })

  test('without its lock opens nothing, and goes on when repeated', async () => {
    installation = await TestInstallation.open(strategy)
    const interrupted = await installation.another(strategy, { seed: async () => void (await endLocks()) })
    await expect(interrupted.tenants.create(three)).rejects.toMatchObject({ code: 'LOCK_LOST' })
    expect(await installation.tenancy.tenants.get('three')).toMatchObject({ state: 'provisioning' })
    expect(await installation.tenancy.tenants.create(three)).toMatchObject({ state: 'active' })
  })

  test('finishes the removal that failed before, then makes the tenant anew', async () => {
    installation = await TestInstallation.open(strategy)
    let broken = true
    const other = await installation.another(strategy, {
      seed: async (tenant) => {
        await tenant.query("insert into author (id, name) values (1, 'Seeded')")
        if (broken) throw new Error('the seed failed')
      },
    })
    await installation.inCatalog(
      `create function catalog.refuse() returns trigger language plpgsql as $body$
       begin raise exception 'not now'; end $body$;
       create trigger refuse before delete on catalog.placement execute function catalog.refuse()`,
    )
    await expect(other.tenants.create(three)).rejects.toThrow('nor be taken away again')
    const left = await other.tenants.get('three')
    expect(left.state).toBe('deleting')
    await installation.inCatalog('drop trigger refuse on catalog.placement')
    broken = false
    const made = await other.tenants.create(three)
    expect(made.state).toBe('active')
    expect(made.id).not.toBe(left.id)
    const { rows } = await other.tenant('three').query('select name from author')
    expect(rows).toEqual([{ name: 'Seeded' }])
    await expect(other.tenants.get(left.id)).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  })

  test('that is done is not reported as failed because its lock could not be given back', async () => {
    installation = await TestInstallation.open(strategy)
    const network = await brittleNetwork()
    const tenancy = await installation.another(strategy, { databaseUrl: network.url })
    const cut = network.cutBefore('pg_advisory_unlock_all')
    expect(await tenancy.tenants.create(three)).toMatchObject({ state: 'active' })
    await cut
    await sleep(50)
    expect(unheard).toEqual([])
    expect((await tenancy.tenant('three').query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await tenancy.close()
    network.close()
  })
})

test("the author's own missing table is not taken for a missing installation", async () => {
  installation = await TestInstallation.open('rls')
  const other = await installation.another('rls', {
    seed: async (tenant) => void (await tenant.query('select from nowhere')),
  })
  await expect(other.tenants.create(three)).rejects.toMatchObject({ code: '42P01' })
})

describe('a suspension beside a refresh of the keys', () => {
  const suspend = "update quickscale.placement set state = 'suspended' where tenant_id = $1"
  const refresh = 'update quickscale.token_key set inner_pad = inner_pad'

  const open = async () => {
    installation = await TestInstallation.open('rls')
    const { databaseName, databaseId, tenantId } = await installation.tenancy.tenants.placement('one')
    const gates = async () =>
      (await installation.asOwner('one', 'select left(id, 36) as id from quickscale.gate')).rows.map(
        (row) => row.id,
      )
    const { tenantId: other } = await installation.tenancy.tenants.placement('two')
    return { databaseName, databaseId, tenantId, other, gates }
  }

  test.each(['the keys', 'the suspension'])('leaves no gate open when %s came first', async (first) => {
    const { databaseName, tenantId, other, gates } = await open()
    const [one, two] = [await hold(databaseName, 'select 1'), await hold(databaseName, 'select 1')]
    const steps = [
      (client: pg.Client) => client.query(refresh),
      (client: pg.Client) => client.query(suspend, [tenantId]),
    ]
    if (first === 'the suspension') steps.reverse()
    await steps[0]?.(one.client)
    const second = steps[1]?.(two.client)
    await blockedBy(one.pid)
    await one.client.query('commit')
    await second
    await two.client.query('commit')
    await Promise.all([one.client.end(), two.client.end()])
    expect(await gates()).toEqual([other])
    await expect(installation.tenancy.tenant('one').query('select 1')).rejects.toMatchObject({
      code: 'TENANT_SUSPENDED',
    })
  })

  test('of two tenants at once are done one after the other', async () => {
    const { databaseName, tenantId, other, gates } = await open()
    const [one, two] = [await hold(databaseName, 'select 1'), await hold(databaseName, 'select 1')]
    await one.client.query(suspend, [tenantId])
    const second = two.client.query(suspend, [other])
    await blockedBy(one.pid)
    await one.client.query('commit')
    await second
    await two.client.query('commit')
    await Promise.all([one.client.end(), two.client.end()])
    expect(await gates()).toEqual([])
  })

  test('does not happen where the keys are the same', async () => {
    const { databaseName, databaseId } = await open()
    const versions = async () =>
      (await installation.asOwner('one', 'select id, xmin::text from quickscale.gate order by id')).rows
    const before = await versions()
    const { client } = await hold(databaseName, 'select 1')
    await installKeys(client, tokenKeyOf(Buffer.from(installation.masterKey, 'base64'), databaseId))
    await client.query('commit')
    await client.end()
    expect(await versions()).toEqual(before)
    await installation.tenancy.migrate()
    expect(await versions()).toEqual(before)
  })
})

describe('the pools of silos', () => {
  test('whose key cannot be read for a while cost errors, and not the process', async () => {
    installation = await TestInstallation.open('database')
    const keys = localKeyProvider(Buffer.from(installation.masterKey, 'base64'))
    let away = true
    const unwrap = async (wrapped: Buffer, keyId: string) => {
      if (away) throw new Error('the key service is away')
      return await keys.unwrap(wrapped, keyId)
    }
    const tenancy = await installation.another('database', { keyProvider: { ...keys, unwrap } })
    await expect(tenancy.tenant('one').query('select 1')).rejects.toMatchObject({
      code: 'CREDENTIAL_UNREADABLE',
    })
    await sleep(50)
    expect(unheard).toEqual([])
    away = false
    expect((await tenancy.tenant('one').query('select 1 as one')).rows).toEqual([{ one: 1 }])
    away = true
    await expect(tenancy.tenant('two').query('select 1')).rejects.toMatchObject({
      code: 'CREDENTIAL_UNREADABLE',
    })
    await tenancy.close()
    expect(unheard).toEqual([])
  })

  test('give way to each other without a query being lost', async () => {
    installation = await TestInstallation.open('database')
    const tenancy = await installation.another('database', {
      connections: { perServer: 1, perSilo: 1, waitMs: 5_000 },
    })
    const failures: unknown[] = []
    await Promise.all(
      Array.from({ length: 120 }, async (_, index) => {
        await sleep(index * 3)
        const slug = index % 2 === 0 ? 'one' : 'two'
        await tenancy
          .tenant(slug)
          .query('select 1')
          .catch((error: unknown) => failures.push(error))
      }),
    )
    expect(failures).toEqual([])
  })
})

describe('closing', () => {
  test('while a route is being read leaves nothing open', async () => {
    installation = await TestInstallation.open('rls')
    const tenancy = await installation.another('rls')
    const holder = await hold(`${installation.name}_catalog`, 'lock table catalog.tenant')
    const query = tenancy
      .tenant('one')
      .query('select 1')
      .then(
        () => 'answered',
        (error: { code?: string }) => error.code,
      )
    await blockedBy(holder.pid)
    const closed = tenancy.close()
    await sleep(20)
    await holder.client.end()
    expect(await query).toBe('TENANCY_CLOSED')
    await closed
    await expect(tenancy.tenant('one').query('select 1')).rejects.toMatchObject({ code: 'TENANCY_CLOSED' })
  })

  test('does not wait for a network that has fallen silent', async () => {
    installation = await TestInstallation.open('rls')
    const network = await brittleNetwork()
    const tenancy = await installation.another('rls', {
      databaseUrl: network.url,
      connections: { statementTimeoutMs: 100 },
    })
    await tenancy.tenant('one').query('select 1')
    network.silence()
    const query = tenancy.tenant('one').query('select 1')
    const outcome = expect(query).rejects.toMatchObject({ code: 'STATEMENT_TIMEOUT' })
    await sleep(20)
    await tenancy.close()
    await outcome
    network.close()
  })
})

/** The test server behind a network that can be cut, or fall silent without a connection being closed. */
async function brittleNetwork() {
  const url = new URL(inject('databaseUrl'))
  const behind = { port: Number(url.port || '5432'), host: url.hostname }
  const sockets = new Set<net.Socket>()
  let silent = false
  let watch: (data: Buffer) => boolean = () => false
  const server = net.createServer((near) => {
    const far = net.connect(behind)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('data', (data) => watch(data) || silent || to.write(data))
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  url.hostname = '127.0.0.1'
  url.port = String(typeof address === 'object' ? address?.port : address)
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  return {
    url: url.href,
    silence: () => {
      silent = true
    },
    cut,
    /** Cuts it when this is said, which nobody hears then. */
    cutBefore: (text: string) =>
      new Promise<void>((resolve) => {
        watch = (data) => {
          if (!data.includes(text)) return false
          watch = () => false
          cut()
          resolve()
          return true
        }
      }),
    close: () => {
      cut()
      server.close()
    },
  }
}
