// Moves one of whose servers is gone. The second server is an embedded one of this file; to a process whose configuration names
// another port it is gone.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examineServer } from '../src/doctor/server.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../src/embedded/index.ts'
import type { Move, MoveState, Tenancy } from '../src/index.ts'
import { createAdministrator } from '../src/strategies/administrator.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

const plans = Object.fromEntries(['only', ...strategies].map((name) => [name, { strategy: 'rls' as const }]))

let directory: string
let second: EmbeddedServer
let installation: TestInstallation
/** Without the second server. */
let alone: Tenancy<NoteTables>

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-abandon-test-'))
  // The server may run as another user, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  second = await startEmbeddedServer({ directory, ephemeral: true })
  installation = await TestInstallation.open('rls', { plans, servers: { second: { url: second.url } } })
  const closed = new URL(second.url)
  closed.port = String(await findClosedPort())
  alone = await installation.another('rls', { plans, servers: { second: { url: closed.href } } })
})
afterAll(async () => {
  await installation?.close()
  await second?.stop()
  await rm(directory, { recursive: true, force: true })
})

async function findClosedPort(): Promise<number> {
  const listener = createServer()
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const address = listener.address()
  await new Promise((resolve) => listener.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 1
}

async function onSecond(database: string): Promise<pg.Client> {
  const url = new URL(second.url)
  url.pathname = `/${database}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  return client
}

/** What the primary server keeps for a move. */
async function keptFor({ id }: Move): Promise<unknown[]> {
  const { rows } = await installation.inDatabase(
    `${installation.name}_pool`,
    `select slot_name::text as name from pg_replication_slots where slot_name like $1
     union all select pubname from pg_publication where pubname like $1
     union all select role from quickscale.move_end where move_id = $2`,
    [`quickscale_${id.replaceAll('-', '')}%`, id],
  )
  return rows
}

/** A mover that is stopped in the middle of its work when the move gets so far. */
async function moveUntil(
  key: string,
  destination: object,
  reached: (state: MoveState, move: Pick<Move, 'progress'>) => boolean,
  blocked: () => Promise<void> = async () => undefined,
): Promise<Move> {
  const stopped = new AbortController()
  const { promise, resolve } = Promise.withResolvers<void>()
  const moving = installation.tenancy.moves
    .start(key, {
      ...destination,
      signal: stopped.signal,
      onProgress: ({ state, progress }) => {
        if (reached(state, { progress })) resolve()
      },
    })
    .catch((error: unknown) => error)
  await Promise.race([promise, moving])
  await blocked()
  stopped.abort()
  const movers = `select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where application_name like 'move %' and datname like '${installation.name}%'`
  await installation.inCatalog(movers)
  const there = await onSecond('postgres')
  await there.query(movers)
  await there.end()
  await moving
  return await installation.tenancy.moves.get(key)
}

describe.each(strategies)('a tenant that moves to a second server, %s there,', (to) => {
  const there = { to, server: 'second' }
  const following = (state: MoveState, { progress }: Pick<Move, 'progress'>) =>
    state === 'streaming' && progress.lagMs !== undefined

  test('stays when that is gone before the switch; goes there when it is back', async () => {
    const { tenancy } = installation
    await tenancy.tenants.create({ slug: to, name: to, plan: 'only' })
    await tenancy.tenant(to).query("insert into note (id, body) values (1, 'first')")
    let move: Move | undefined
    await tenancy.tenant(to).transaction(async (transaction) => {
      await transaction.query('select 1')
      move = await moveUntil(to, there, following)
    })
    expect(move).toMatchObject({ state: 'streaming' })
    await expect(tenancy.moves.abandon(to)).rejects.toMatchObject({ code: 'MOVE_NOT_ABANDONED' })
    // All attempts take some seconds.
    if (to === 'rls')
      await expect(alone.moves.cancel(to)).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
    expect(await keptFor(move as Move)).not.toEqual([])
    const abandoned = await alone.moves.abandon(to)
    expect(abandoned).toMatchObject({ state: 'cancelled', failure: expect.stringMatching(/left as it is$/) })
    expect(await keptFor(abandoned)).toEqual([])
    await expect(alone.moves.abandon(to)).rejects.toMatchObject({ code: 'MOVE_OVER' })
    expect((await alone.tenant(to).query('select body from note')).rows).toEqual([{ body: 'first' }])
  })

  test('is given back by its source only when the second server was never opened', async () => {
    const { tenancy } = installation
    const { id: tenantId } = await tenancy.tenants.get(to)
    let blocker: pg.Client | undefined
    const move = await moveUntil(to, there, following, async () => {
      const { target } = await tenancy.moves.get(to)
      blocker = await onSecond(target.database)
      await blocker.query('begin')
      await blocker.query('lock table quickscale.placement in share mode')
      const source = `select state from quickscale.move_end where role = 'source' and tenant_id = $1`
      const state = async () =>
        (await installation.inDatabase(`${installation.name}_pool`, source, [tenantId])).rows[0]?.state
      await expect.poll(state, { timeout: 20_000 }).toBe('active')
    })
    // Whoever opens it was ended while it waited for this.
    await blocker?.end()
    await expect(alone.moves.abandon(to)).rejects.toMatchObject({
      code: 'MOVE_NOT_ABANDONED',
      details: { reason: expect.stringContaining('lives on second') },
    })
    // As a mover leaves it that is killed an instant earlier.
    await installation.inDatabase(
      `${installation.name}_pool`,
      `update quickscale.move_end set state = 'switched' where move_id = $1`,
      [move.id],
    )
    const returned = await alone.moves.abandon(to)
    expect(returned.state).toBe('returned')
    expect(await keptFor(returned)).toEqual([])
    expect(await tenancy.tenants.placement(to)).toMatchObject({ strategy: 'rls', epoch: 3 })
    await alone.tenant(to).query("insert into note (id, body) values (2, 'second')")
    // Nobody opens it later.
    expect(await tenancy.moves.resume()).toEqual({ moves: [], failed: [] })
    const late = await onSecond(move.target.database)
    const fences = await late.query('select state from quickscale.placement where tenant_id = $1', [tenantId])
    await late.end()
    expect(fences.rows).toEqual([{ state: 'pending' }])
  })

  test('is not forgotten where it lives; the server that it came from may be', async () => {
    const { tenancy } = installation
    expect((await tenancy.moves.start(to, there)).state).toBe('active')
    await expect(alone.moves.abandon(to)).rejects.toMatchObject({ code: 'MOVE_NOT_ABANDONED' })
    await tenancy.moves.finish(to)
    const back = await tenancy.moves.start(to, { to: 'rls', server: 'primary' })
    expect(back.state).toBe('active')
    expect(await keptFor(back)).not.toEqual([])
    const done = await alone.moves.abandon(to)
    expect(done.state).toBe('done')
    expect(await keptFor(done)).toEqual([])
    const { rows } = await alone.tenant(to).query('select body from note order by id')
    expect(rows).toEqual([{ body: 'first' }, { body: 'second' }])
    // What was left there is no obstacle when it is back, and the doctor knows what it is.
    const { findings } = await tenancy.doctor()
    expect(
      findings.filter(
        ({ check, subject }) => check === 'stream-orphaned' && subject.includes(moveName(back)),
      ),
    ).toEqual([])
    if (to !== 'rls') return
    await tenancy.moves.start(to, { ...there, rollbackWindowMs: 0 })
    const arrived = await tenancy.tenant(to).query('select count(*)::integer as count from note')
    expect(arrived.rows).toEqual([{ count: 2 }])
  })
})

const moveName = ({ id }: Move) => id.replaceAll('-', '')

test('the doctor names streams that nobody needs, and slots that hold the log back', async () => {
  const name = `quickscale_${crypto.randomUUID().replaceAll('-', '')}_there`
  const pool = `${installation.name}_pool`
  await installation.inDatabase(pool, `create publication ${name}`)
  await installation.inDatabase(pool, `select pg_create_logical_replication_slot('${name}', 'pgoutput')`)
  const { findings } = await installation.tenancy.doctor()
  const orphaned = findings.filter(({ check, subject }) => check === 'stream-orphaned' && subject === name)
  expect(orphaned.map(({ message }) => message)).toEqual([
    `The replication slot ${name} belongs to a move that is over or unknown`,
    `The publication ${name} belongs to a move that is over or unknown`,
  ])
  await installation.inDatabase(pool, "select pg_logical_emit_message(true, '', repeat('x', 10000))")
  const administrator = createAdministrator(await installation.urlOf('one'))
  const behind = async () =>
    (await examineServer(administrator, 1_000)).filter(({ subject }) => subject === name)
  // What is written and what counts as written are some moments apart.
  await expect.poll(behind, { timeout: 10_000 }).toMatchObject([{ check: 'slot-behind' }])
  expect((await examineServer(administrator)).filter(({ subject }) => subject === name)).toEqual([])
  await administrator.close()
  await installation.inDatabase(pool, `drop publication ${name}`)
  await installation.inDatabase(pool, `select pg_drop_replication_slot('${name}')`)
})
