import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTenancy, type Strategy } from '@quickscale/tenancy'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { dropInstallation } from '../../../test/support/drop-installation.ts'
import { type Outcome, runCommand } from './support/command.ts'

const name = `t_${randomBytes(5).toString('hex')}`
const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-server-'))
  await mkdir(join(directory, 'migrations'))
  await writeFile(
    join(directory, 'migrations/0001_notes.sql'),
    'create table note (id integer primary key, body text)',
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
  const tenancy = await createTenancy({ ...config, migrations: [join(directory, 'migrations')] })
  await tenancy.migrate()
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: plan, name: plan, plan })
    await tenancy.tenant(plan).query("insert into note values (1, 'a')")
  }
  await tenancy.close()
})
afterAll(async () => {
  await dropInstallation(inject('databaseUrl'), name)
  await rm(directory, { recursive: true })
})

function command(...args: string[]): Promise<Outcome> {
  return runCommand(...args, '--config', directory)
}

describe('quickscale server', () => {
  test('lists servers, and says who lives on one and in which databases', async () => {
    const listed = await command('server', 'list', '--json')
    expect([listed.status, listed.stderr]).toEqual([0, ''])
    expect(JSON.parse(listed.stdout)).toMatchObject({
      ok: true,
      servers: [{ name: 'primary', state: 'open', tenants: { rls: expect.any(Number) } }],
    })
    const shown = await command('server', 'show', 'primary')
    expect(shown.stdout).toContain(`Database  ${name}_catalog (catalog, `)
    expect(shown.stdout).toMatch(/^Tenant {4}database \(database, active\): \d/m)
    expect(shown.stdout).toContain('State     open')
  })

  test('drains: says who cannot leave and why, in earnest too, and ends with 1 while somebody is there', async () => {
    const dry = await command('server', 'drain', 'primary', '--dry-run', '--json')
    const { ok, stuck } = JSON.parse(dry.stdout)
    expect([dry.status, ok, stuck.length]).toEqual([1, false, 3])
    expect(stuck[0]).toMatchObject({
      error: { code: 'PLACEMENT_REFUSED', message: expect.stringContaining('primary is being drained') },
    })
    expect(JSON.parse((await command('server', 'show', 'primary', '--json')).stdout).state).toBe('open')
    const { status, stdout } = await command('server', 'drain', 'primary')
    expect(status).toBe(1)
    for (const slug of strategies)
      expect(stdout).toMatch(new RegExp(`^${slug} .* stays: .*being drained`, 'm'))
    expect(stdout).toContain('0 tenants moved away; 3 tenants and 0 moves left on primary.')
    expect(JSON.parse((await command('server', 'show', 'primary', '--json')).stdout).state).toBe('draining')
    expect((await command('server', 'undrain', 'primary')).stdout).toBe('primary takes tenants again.\n')
    const kept = await command('server', 'remove', 'primary', '--json')
    expect([kept.status, JSON.parse(kept.stdout).error.code]).toEqual([1, 'SERVER_IN_USE'])
    for (const verb of ['show', 'drain', 'undrain', 'remove']) {
      const unknown = await command('server', verb, 'mars')
      expect([unknown.status, unknown.stdout]).toEqual([2, ''])
      expect(unknown.stderr).toContain('SERVER_UNKNOWN')
    }
  })
})

describe('quickscale rebalance', () => {
  test('proposes and changes nothing, and does nothing that is neither confirmed nor wished for', async () => {
    const planned = await command('rebalance', '--plan', '--threshold', '10', '--max-moves', '3', '--json')
    expect([planned.status, planned.stderr]).toEqual([0, ''])
    expect(JSON.parse(planned.stdout)).toEqual({
      ok: true,
      moves: [],
      servers: [{ server: 'primary', weight: 1, before: expect.closeTo(1), after: expect.closeTo(1) }],
    })
    const done = await command('rebalance', '--yes')
    expect([done.status, done.stdout]).toEqual([0, 'primary  100 % of the load\nNothing to do.\n'])
    for (const [flags, reason] of [
      [['--json'], '--plan to see'],
      [['--plan', '--threshold', '4'], '5 to 1000 percent'],
      [['--plan', '--max-moves', '0'], '1 to 1000 moves'],
    ] as const) {
      const { status, stdout, stderr } = await command('rebalance', ...flags)
      expect(status).toBe(2)
      expect(stdout === '' ? stderr : JSON.parse(stdout).error.message).toContain(reason)
    }
  })
})
