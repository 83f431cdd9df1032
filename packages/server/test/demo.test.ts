import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { companyCreate, contactCreate, dealCreate, postCreate } from '../src/api/index.ts'
import { openDemo } from '../src/demo/access.ts'
import { keepConfig } from '../src/demo/config-file.ts'
import { generateData } from '../src/demo/generator.ts'
import { provisionTenant } from '../src/demo/provision.ts'
import { formatReport } from '../src/demo/report.ts'
import { demoTenants } from '../src/demo/tenants.ts'
import { readSettings } from '../src/settings.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'

const stageId = '00000000-0000-4000-8000-000000000001'
const size = { companies: 30, contacts: 60, deals: 60, posts: 30 }

describe('the generator', () => {
  it('makes the same records from the same seed, and others from another', () => {
    expect(generateData('a', size, [stageId])).toEqual(generateData('a', size, [stageId]))
    expect(generateData('a', size, [stageId])).not.toEqual(generateData('b', size, [stageId]))
  })

  it('makes only what the API would accept', () => {
    const data = generateData('a', size, [stageId])
    for (const { id: _id, created_at: _at, ...company } of data.companies) companyCreate.parse(company)
    for (const { id: _id, created_at: _at, ...contact } of data.contacts) contactCreate.parse(contact)
    for (const { id: _id, created_at: _at, ...deal } of data.deals) dealCreate.parse(deal)
    for (const { id: _id, created_at: _at, published_date, ...post } of data.posts) {
      postCreate.parse({ ...post, published_date: published_date?.toISOString() ?? null })
    }
    expect(data.contacts.every(({ email }) => email.endsWith('.example'))).toBe(true)
    expect(new Set(data.posts.map(({ slug }) => slug)).size).toBe(size.posts)
  })
})

describe('provisioning', () => {
  let installation: TestInstallation
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), 'rls')
  })
  afterAll(() => installation.remove())

  it('fills a tenant once, and leaves it as it is the second time', async () => {
    const demo = { slug: 'filled', name: 'Filled', plan: 'only', size }
    const progress: [number, number][] = []
    const first = await provisionTenant(installation.tenancy, demo, (...step) => progress.push(step))
    expect(first).toMatchObject({ slug: 'filled', strategy: 'rls', schema: 'app', rows: 319 })
    expect(progress.at(-1)).toEqual([311, 311])
    const { kysely } = installation.tenancy.tenant('filled')
    await kysely.deleteFrom('deals').execute()
    const second = await provisionTenant(installation.tenancy, demo, () => expect.unreachable())
    expect(second.rows).toBeLessThanOrEqual(first.rows - size.deals)
  })
})

describe('access to the demo', () => {
  let installation: TestInstallation
  let directory: string
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true })
    directory = mkdtempSync(join(tmpdir(), 'quickscale-demo-'))
  })
  afterAll(async () => {
    rmSync(directory, { recursive: true })
    await installation.remove()
  })

  it('is what the file says, for this user only, and survives a restart', async () => {
    const { app, tenancy } = installation
    const file = await openDemo(tenancy, ['one'], directory)
    const header = readFileSync(file, 'utf8').trim()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(await openDemo(tenancy, ['one'], directory)).toBe(file)
    expect(readFileSync(file, 'utf8').trim()).toBe(header)
    const ask = async (url: string, headers = {}) => (await app.inject({ url, headers })).statusCode
    const authorization = header.replace('Authorization: ', '')
    expect(await ask('/t/one/contacts', { authorization })).toBe(200)
    expect(await ask('/t/two/contacts', { authorization })).toBe(404)
    expect(await ask('/t/one/contacts')).toBe(401)
    writeFileSync(file, 'Authorization: Bearer qs_unknown')
    await openDemo(tenancy, ['one'], directory)
    expect(readFileSync(file, 'utf8')).not.toContain('qs_unknown')
  })
})

describe('the configuration for the command line', () => {
  it('is for this user only, also where a file was there before', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'quickscale-config-'))
    const file = join(directory, 'quickscale.config.json')
    writeFileSync(file, '{}', { mode: 0o644 })
    await keepConfig(directory, { installation: 'demo', migrations: ['/m'], masterKey: 'k' })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({
      installation: 'demo',
      migrations: ['/m'],
      masterKey: 'k',
    })
    rmSync(directory, { recursive: true })
  })
})

describe('the report', () => {
  const residents = demoTenants.map(({ slug, plan }, index) => ({
    slug,
    plan,
    strategy: ['rls', 'rls', 'schema', 'schema', 'database'][index] ?? '',
    database: 'demo_pool',
    schema: 'app',
    rows: index,
  }))

  it('offers one curl per strategy and one by host name, all on the address it was given', () => {
    const directory = "/home/o'hara"
    const report = formatReport(residents, 'http://127.0.0.1:3005', {
      keyFile: `${directory}/demo-key`,
      directory,
    })
    const curls = report.split('\n').filter((line) => /^ *curl /.test(line))
    expect(curls).toHaveLength(5)
    expect(report).toContain("--config '/home/o'\\''hara'")
    expect(curls.every((line) => line.includes("'http://127.0.0.1:3005/"))).toBe(true)
    for (const { slug } of demoTenants) expect(report).toContain(slug)
    expect(curls.every((line) => line.includes("-H '@/home/o'\\''hara/demo-key'"))).toBe(true)
  })
})

describe('settings', () => {
  let directory: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'quickscale-settings-'))
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  it('makes a master key once, for this user only', () => {
    const { masterKey } = readSettings({}, directory)
    expect(Buffer.from(masterKey, 'base64')).toHaveLength(32)
    expect(readSettings({}, directory).masterKey).toBe(masterKey)
    expect(statSync(join(directory, 'master-key')).mode & 0o777).toBe(0o600)
  })

  it('refuses a master key that others can read', () => {
    const file = join(directory, 'master-key')
    writeFileSync(file, 'x')
    chmodSync(file, 0o644)
    expect(() => readSettings({}, directory)).toThrow('chmod 600')
  })

  it('takes port and key from the environment, and refuses a port that is none', () => {
    const settings = readSettings({ PORT: '8080', QUICKSCALE_MASTER_KEY: 'k' }, directory)
    expect(settings).toMatchObject({ port: 8080, portIsFixed: true, masterKey: 'k', databaseUrl: null })
    expect(settings.masterKeyIsKept).toBe(false)
    expect(readSettings({ QUICKSCALE_MASTER_KEY: 'k' }, directory)).toMatchObject({
      port: 3000,
      portIsFixed: false,
    })
    for (const PORT of ['0', '70000', 'http', '3000x']) {
      expect(() => readSettings({ PORT }, directory)).toThrow('PORT')
    }
  })
})
