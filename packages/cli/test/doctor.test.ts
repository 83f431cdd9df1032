import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createTenancy, type Strategy, type Tenancy } from '@quickscale/tenancy'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { dropInstallation } from '../../../test/support/drop-installation.ts'

const bin = fileURLToPath(new URL('../bin/quickscale.js', import.meta.url))
const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const name = `t_${randomBytes(5).toString('hex')}`

let directory: string
let tenancy: Tenancy
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-doctor-'))
  await writeFile(join(directory, '0001_notes.sql'), 'create table note (id integer primary key, body text);')
  const config = {
    databaseUrl: inject('databaseUrl'),
    installation: name,
    masterKey: randomBytes(32).toString('base64'),
    plans: Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
  }
  const inFile = JSON.stringify({ ...config, migrations: ['.'] })
  await writeFile(join(directory, 'quickscale.config.ts'), `export default ${inFile} as object`)
  tenancy = await createTenancy({ ...config, migrations: [directory] })
  await tenancy.migrate()
  for (const plan of strategies) await tenancy.tenants.create({ slug: plan, name: plan, plan })
})
afterAll(async () => {
  await tenancy.close()
  await dropInstallation(inject('databaseUrl'), name)
  await rm(directory, { recursive: true })
})

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function doctor(where: string, ...flags: string[]): Promise<Outcome> {
  const { QUICKSCALE_DATABASE_URL: _, QUICKSCALE_MASTER_KEY: __, ...env } = process.env
  return new Promise((resolve) => {
    const args = [bin, 'doctor', '--config', where, ...flags]
    const child = execFile(process.execPath, args, { env }, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode, stdout, stderr }),
    )
  })
}

async function inPlaceOf(slug: string, sql: (schema: string) => string): Promise<void> {
  const { databaseName, schemaName } = await tenancy.tenants.placement(slug)
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  await client.query(sql(`"${schemaName}"`))
  await client.end()
}

describe('quickscale doctor', () => {
  test('prints what the library finds, as JSON too, and ends with 0 when nothing is an error', async () => {
    const { status, stdout, stderr } = await doctor(directory, '--json')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(JSON.parse(stdout)).toEqual({ ...(await tenancy.doctor()), ok: true, databases: 3, tenants: 3 })

    const forPeople = await doctor(directory)
    expect(forPeople).toMatchObject({ status: 0, stderr: '' })
    expect(forPeople.stdout).toContain('Examined: 3 databases, 3 tenants\n')
    expect(forPeople.stdout).toContain('No wall is open: 0 errors')
  })

  test('names what is wrong in the place of every strategy, the remedy once, and ends with 1', async () => {
    for (const slug of strategies)
      await inPlaceOf(slug, (schema) => `alter table ${schema}.note disable row level security`)
    const [json, forPeople] = [await doctor(directory, '--json'), await doctor(directory)]
    for (const slug of strategies)
      await inPlaceOf(slug, (schema) => `alter table ${schema}.note enable row level security`)

    expect([json.status, forPeople.status]).toEqual([1, 1])
    const report = JSON.parse(json.stdout)
    expect(report.ok).toBe(false)
    for (const slug of strategies) {
      const { databaseName, schemaName } = await tenancy.tenants.placement(slug)
      expect(report.findings).toContainEqual(
        expect.objectContaining({
          check: 'layout-faulty',
          level: 'error',
          where: databaseName,
          subject: `${schemaName}, tenant wall note`,
          remedy: expect.any(String),
        }),
      )
      expect(forPeople.stdout).toContain(`    ${databaseName}: ${schemaName}, tenant wall note: `)
    }
    expect(forPeople.stdout).toMatch(/\nErrors:\n {2}layout-faulty\n/)
    expect(forPeople.stdout.match(/→ Undo what was changed/g)).toHaveLength(1)
    expect(forPeople.stdout).toContain('Something is wrong: 3 errors')
    expect((await doctor(directory)).status).toBe(0)
  })

  test.each([
    ['there is no configuration', 'CONFIG_INVALID', null],
    ['there is no installation', 'NOT_INSTALLED', { installation: 'never_made' }],
    ['the server is away', 'SERVER_UNREACHABLE', { databaseUrl: 'postgres://a:secret@127.0.0.1:1/postgres' }],
  ])('ends with 2 and a code when %s', async (_, code, config) => {
    const elsewhere = await mkdtemp(join(directory, 'elsewhere-'))
    const masterKey = Buffer.alloc(32, 1).toString('base64')
    if (config !== null) {
      const whole = { databaseUrl: inject('databaseUrl'), masterKey, migrations: [], ...config }
      await writeFile(join(elsewhere, 'quickscale.config.json'), JSON.stringify(whole))
    }
    const { status, stdout, stderr } = await doctor(elsewhere, '--json')
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toEqual({
      ok: false,
      error: { code, message: expect.stringContaining(`[${code}]`), remedy: expect.any(String) },
    })
    expect(stderr).toContain(code)
    expect(`${stdout}${stderr}`).not.toMatch(new RegExp(`secret|${masterKey}`))
  })

  test('explains itself, and refuses what it does not know with 2', async () => {
    expect((await doctor('.', '--help')).stdout).toContain('Exit codes')
    expect((await doctor('.', '--jsno')).status).toBe(2)
  })
})
