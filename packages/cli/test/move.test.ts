import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createTenancy, type Move, type Strategy, type Tenancy } from '@quickscale/tenancy'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { dropInstallation } from '../../../test/support/drop-installation.ts'
import { createMoveProgress, formatProgress } from '../src/moves/progress.ts'
import { run } from '../src/program.ts'

const bin = fileURLToPath(new URL('../bin/quickscale.js', import.meta.url))
const name = `t_${randomBytes(5).toString('hex')}`
/** Each strategy's tenant is called like it, and goes to another one. */
const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const destinations: readonly [Strategy, Strategy][] = [
  ['rls', 'database'],
  ['schema', 'rls'],
  ['database', 'schema'],
]

let directory: string
let tenancy: Tenancy
let canMove: boolean
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-move-'))
  await mkdir(join(directory, 'migrations'))
  await writeFile(
    join(directory, 'migrations/0001_notes.sql'),
    'create table note (id integer primary key, body text);',
  )
  const config = {
    databaseUrl: inject('databaseUrl'),
    installation: name,
    masterKey: randomBytes(32).toString('base64'),
    plans: Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
  }
  await writeFile(
    join(directory, 'quickscale.config.json'),
    JSON.stringify({ ...config, migrations: ['migrations'] }),
  )
  tenancy = await createTenancy({ ...config, migrations: [join(directory, 'migrations')] })
  await tenancy.migrate()
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: plan, name: plan, plan })
    await tenancy
      .tenant(plan)
      .query("insert into note select n, repeat('x', 500) from generate_series(1, 20000) as n")
  }
  const { rows } = await inDatabase(
    `${name}_catalog`,
    "select current_setting('server_version_num') as number",
  )
  canMove = Number(rows[0].number) >= 170_000
})
afterAll(async () => {
  for (const child of children) signalGroup(child, 'SIGKILL')
  await tenancy.close()
  await dropInstallation(inject('databaseUrl'), name)
  await rm(directory, { recursive: true })
})

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The command in this process: starting one takes longer than most of what it does. */
async function move(...args: string[]): Promise<Outcome> {
  const written = { stdout: '', stderr: '' }
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.stdout += text
      return true
    }),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      written.stderr += text
      return true
    }),
    vi.spyOn(console, 'error').mockImplementation((text) => {
      written.stderr += `${text}\n`
    }),
  ]
  try {
    return { status: await run(['move', ...args, '--config', directory]), ...written }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

const children = new Set<ChildProcess>()

/** A process group of its own, so that Ctrl-C can be sent as a terminal sends it. */
function begin(...args: string[]): { interrupt: () => void; outcome: Promise<Outcome> } {
  const { QUICKSCALE_DATABASE_URL: _, QUICKSCALE_MASTER_KEY: __, ...env } = process.env
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  const argv = [bin, 'move', ...args, '--config', directory]
  const child = spawn(process.execPath, argv, { env, detached: true })
  const written = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].on('data', (text) => {
      written[stream] += text
    })
  }
  children.add(child)
  child.on('close', (status) => {
    children.delete(child)
    resolve({ status, ...written })
  })
  return { interrupt: () => signalGroup(child, 'SIGINT'), outcome: promise }
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal)
}

async function inDatabase(database: string, sql: string): Promise<pg.QueryResult> {
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${database}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

async function notesOf(slug: string): Promise<unknown> {
  const { rows } = await tenancy.tenant(slug).query('select count(*)::integer as count from note')
  return rows[0]?.count
}

/** The move of a tenant as soon as it is in a state. */
async function moveIn(slug: string, state: Move['state']): Promise<Move> {
  for (;;) {
    const [found] = await tenancy.moves.list({ tenant: slug, unfinished: true })
    if (found?.state === state) return found
    await sleep(20)
  }
}

describe('quickscale move', () => {
  test.each(destinations)(
    'from %s to %s: a dry run says what would be, and changes nothing',
    async (slug, to) => {
      const { databaseName, schemaName } = await tenancy.tenants.placement(slug)
      const { status, stdout, stderr } = await move(slug, '--to', to, '--dry-run', '--json')
      const report = JSON.parse(stdout)
      expect(stderr).toBe('')
      expect(report).toMatchObject({
        ok: canMove,
        dryRun: true,
        source: { strategy: slug, server: 'primary', database: databaseName, schema: schemaName },
        target: { strategy: to, server: 'primary' },
        size: { tables: 1, rows: 20_000 },
      })
      expect([status, report.obstacles.length > 0]).toEqual(canMove ? [0, false] : [1, true])
      expect(await tenancy.moves.list()).toEqual([])
      expect(await tenancy.tenants.placement(slug)).toMatchObject({ strategy: slug, epoch: 1 })
    },
  )

  test.each(strategies)('from %s: names each obstacle, and ends with 1, in earnest too', async (slug) => {
    const to = slug === 'database' ? 'rls' : 'database'
    const { databaseName, schemaName } = await tenancy.tenants.placement(slug)
    const alter = (change: string) => inDatabase(databaseName, `alter table "${schemaName}".note ${change}`)
    await alter('add column nickname text')
    try {
      const dry = await move(slug, '--to', to, '--dry-run')
      expect([dry.status, dry.stderr]).toEqual([1, ''])
      expect(dry.stdout).toMatch(/In its way:\n(.*\n)* {2}- .*nickname/)
      const { status, stdout, stderr } = await move(slug, '--to', to, '--json')
      expect(status).toBe(1)
      expect(JSON.parse(stdout)).toMatchObject({
        ok: false,
        error: { code: 'MOVE_REFUSED', remedy: expect.any(String) },
      })
      expect(stderr).toContain('nickname')
      expect(await tenancy.moves.list()).toEqual([])
    } finally {
      await alter('drop column nickname')
    }
  })

  test.each([
    ['no destination', ['rls'], '--to, --plan or --server'],
    ['no such strategy', ['rls', '--to', 'table'], 'Allowed choices are schema, database, rls'],
    ['no such option', ['rls', '--to', 'schema', '--fast'], '--fast'],
    ['a window without a unit', ['rls', '--to', 'schema', '--rollback-window', '5'], 's, m, h or d'],
    ['a window that is too long', ['rls', '--to', 'schema', '--rollback-window', '31d'], 'at most 30d'],
    ['no share at all', ['rls', '--to', 'schema', '--share', '0'], '0.001 to 1'],
    ['no such tenant', ['nobody', '--to', 'schema'], 'TENANT_NOT_FOUND'],
    ['no such plan', ['rls', '--plan', 'gold'], 'PLAN_UNKNOWN'],
    ['no such server', ['rls', '--server', 'mars'], 'SERVER_UNKNOWN'],
    ['no such move', ['cancel', 'rls'], 'MOVE_NOT_FOUND'],
  ])('%s: ends with 2 and the reason, and nothing is moved', async (_, args, reason) => {
    const { status, stdout, stderr } = await move(...args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toContain(reason)
    expect(await tenancy.moves.list()).toEqual([])
  })

  test.each(destinations)(
    'from %s to %s, interrupted: goes on, is listed, and comes back',
    async (slug, to) => {
      if (!canMove) return expect((await move(slug, '--to', to)).stderr).toContain('moves need 17')
      const { interrupt, outcome } = begin(
        slug,
        '--to',
        to,
        '--share',
        '0.02',
        '--rollback-window',
        '1d',
        '--watch',
      )
      const { id } = await moveIn(slug, 'copying')
      interrupt()
      const interrupted = await outcome
      expect([interrupted.status, interrupted.stdout]).toEqual([130, ''])
      expect(interrupted.stderr).toContain(`quickscale move resume goes on, quickscale move cancel ${id}`)
      expect(interrupted.stderr).toMatch(/^copying/m)
      expect(await tenancy.tenants.placement(slug)).toMatchObject({ strategy: slug })

      const listed = await move('list', '--unfinished')
      expect(listed.stdout).toMatch(
        new RegExp(`^${id} .* copying .* ${slug} .*${slug} on primary → ${to} on primary`),
      )
      const resumed = JSON.parse((await move('resume', '--json')).stdout)
      expect(resumed).toMatchObject({ ok: true, moves: [{ id, state: 'active' }], failed: [] })
      expect(await tenancy.tenants.placement(slug)).toMatchObject({ strategy: to })
      expect(await notesOf(slug)).toBe(20_000)

      expect(JSON.parse((await move('show', slug, '--watch', '--json')).stdout)).toMatchObject({
        ok: true,
        id,
      })
      const shown = await move('show', id)
      expect(shown.stdout).toContain(`quickscale move rollback ${slug}`)
      expect((await move('cancel', slug, '--json')).status).toBe(1)
      const back = JSON.parse((await move('rollback', slug, '--json')).stdout)
      expect(back).toMatchObject({ ok: true, id, state: 'returned' })
      expect(await tenancy.tenants.placement(slug)).toMatchObject({ strategy: slug })
      expect(await notesOf(slug)).toBe(20_000)
    },
  )

  test('a move is taken back while another process has it, and finished at once without a window', async () => {
    if (!canMove) return expect((await move('rls', '--plan', 'schema')).status).toBe(1)
    const { outcome } = begin('rls', '--plan', 'schema', '--share', '0.02', '--json')
    const { id } = await moveIn('rls', 'copying')
    expect((await move('cancel', 'rls')).stdout).toContain('State   cancelled')
    const other = await outcome
    expect(other.status).toBe(1)
    expect(JSON.parse(other.stdout)).toMatchObject({ ok: false })
    expect(await tenancy.tenants.get('rls')).toMatchObject({ plan: 'rls' })

    const done = await move('rls', '--plan', 'schema', '--rollback-window', '0', '--json')
    expect(JSON.parse(done.stdout)).toMatchObject({ ok: true, state: 'done', plan: 'schema' })
    expect([done.status, done.stderr]).toEqual([0, ''])
    expect(await tenancy.tenants.get('rls')).toMatchObject({ plan: 'schema' })
    expect(await notesOf('rls')).toBe(20_000)
    const { moves } = JSON.parse((await move('list', '--tenant', 'rls', '--json')).stdout)
    expect(moves.map((each: Move) => each.state)).toEqual(['done', 'cancelled', 'returned'])
    expect(moves[1].id).toBe(id)
    expect((await move('list', '--unfinished')).stdout).toBe('No moves.\n')
  })
})

describe('the progress of a move', () => {
  const copying = {
    id: 'a',
    state: 'copying' as const,
    progress: { rowsExpected: 4_000, rowsCopied: 1_000, bytesCopied: 2_345_678, rowsPerSecond: 10 },
  }

  test('says phase, rows, bytes, rate and time left, as far as they are known', () => {
    expect(formatProgress(copying)).toBe(
      'copying · 1,000 of 4,000 rows (25 %) · 2.3 MB · 10 rows/s · 5 min left',
    )
    expect(formatProgress({ state: 'planned', progress: {} })).toBe('planned')
    const progress = { rowsCopied: 4_000, changesApplied: 12, lagMs: 3, cutoversFailed: 0 }
    expect(formatProgress({ state: 'streaming', progress })).toBe(
      'streaming · 4,000 rows copied · 12 changes applied · 3 ms behind',
    )
  })

  test('is one line on a terminal, one line a state elsewhere if it is wanted, and nothing otherwise', () => {
    const drawn = (terminal: boolean, wanted: boolean) => {
      const written: string[] = []
      const stream = { isTTY: terminal, columns: 20, write: (text: string) => written.push(text) }
      const progress = createMoveProgress(stream, wanted)
      for (let times = 0; times < 3; times += 1) progress.show(copying)
      progress.end()
      return written.join('')
    }
    expect(drawn(false, false)).toBe('')
    expect(drawn(false, true)).toBe(`${formatProgress(copying)}\n`)
    expect(drawn(true, false)).toBe('\r\u001b[Kcopying · 1,000 of \r\u001b[K')
  })
})
