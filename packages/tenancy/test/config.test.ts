import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { defineConfig, loadConfig, parseConfig, type TenancyConfig } from '../src/config.ts'
import { QuickScaleError } from '../src/errors.ts'
import { limits } from '../src/limits.ts'

const databaseUrl = 'postgres://admin:hush-hush@127.0.0.1:5432/postgres'
const otherUrl = 'postgres://admin:hush-hush@10.0.0.2:5432/postgres'
const masterKey = Buffer.alloc(32, 7).toString('base64')
const minimal: TenancyConfig = { databaseUrl, masterKey, migrations: ['/srv/migrations'] }

function problemOf(input: unknown): string {
  return refusal(() => parseConfig(input, 'quickscale.config.ts')).message
}

function refusal(act: () => unknown): QuickScaleError {
  try {
    act()
  } catch (error) {
    if (error instanceof QuickScaleError && error.code === 'CONFIG_INVALID') return error
    throw error
  }
  throw new Error('expected CONFIG_INVALID, but the configuration was accepted')
}

describe('parseConfig', () => {
  test('fills in every default', () => {
    expect(parseConfig(minimal)).toEqual({
      ...minimal,
      installation: 'quickscale',
      plans: {
        free: { strategy: 'rls' },
        starter: { strategy: 'rls' },
        pro: { strategy: 'schema' },
        team: { strategy: 'schema' },
        enterprise: { strategy: 'database' },
      },
      connections: {
        perDatabase: limits.connectionsPerDatabase,
        perSilo: limits.connectionsPerSilo,
        perServer: limits.connectionsPerServer,
        waitingPerTenant: limits.connectionWaitersPerTenant,
        waitMs: limits.connectionWaitMs,
        idleMs: limits.connectionIdleMs,
        statementTimeoutMs: limits.statementTimeoutMs,
      },
      sweepOnStart: false,
      refillWarmDatabases: true,
      broughtDatabases: { requireTls: true, connections: limits.connectionsPerBroughtDatabase },
      servers: {
        primary: {
          labels: [],
          private: false,
          weight: 1,
          warmDatabases: 0,
          caps: {
            databases: limits.databasesPerServer,
            sharedDatabases: limits.sharedDatabasesPerServer,
            rowTenantsPerDatabase: limits.rowTenantsPerDatabase,
            schemasPerDatabase: limits.schemasPerDatabase,
          },
        },
      },
    })
  })

  test('keeps what was given, and accepts its own result', () => {
    const seed = async () => undefined
    const given = { ...minimal, installation: 'demo', plans: { solo: { strategy: 'database' } }, seed }
    const resolved = parseConfig({ ...given, connections: { waitMs: 7 } })
    expect(resolved).toMatchObject({ ...given, connections: { waitMs: 7 } })
    expect(resolved.plans).toEqual({ solo: { strategy: 'database' } })
    expect(resolved.seed).toBe(seed)
    expect(parseConfig(resolved)).toEqual(resolved)
    const several = parseConfig({ ...minimal, servers: { second: { url: otherUrl } } })
    expect(Object.keys(several.servers)).toEqual(['primary', 'second'])
    expect(parseConfig(several)).toEqual(several)
  })

  test.each([
    [{ databaseURL: databaseUrl }, 'databaseURL is not a known key, did you mean databaseUrl?'],
    [{ instalation: 'x' }, 'instalation is not a known key, did you mean installation?'],
    [{ waitMs: 5 }, 'waitMs is not a known key, did you mean connections.waitMs?'],
    [
      { connections: { waitMS: 5 } },
      'connections.waitMS is not a known key, did you mean connections.waitMs?',
    ],
    [
      { plans: { pro: { stratgy: 'rls' } } },
      'plans.pro.stratgy is not a known key, did you mean plans.<plan>.strategy?',
    ],
  ])('names the nearest key for the unknown one in %j', (extra, message) => {
    expect(problemOf({ ...minimal, ...extra })).toContain(`quickscale.config.ts: ${message}`)
  })

  test.each([
    [{ databaseUrl: undefined }, 'databaseUrl is missing (or set QUICKSCALE_DATABASE_URL)'],
    [{ databaseUrl: 'mysql://127.0.0.1/x' }, 'databaseUrl must be a URL that begins with postgres://'],
    [{ migrations: undefined }, 'migrations is missing'],
    [{ migrations: ['here'] }, 'migrations.0 must be an absolute path'],
    [{ installation: 'Demo' }, 'installation must be a-z'],
    [{ installation: 'a'.repeat(17) }, 'installation must be a-z'],
    [{ plans: {} }, 'plans must name at least one plan'],
    [{ plans: { 'Own Plan': { strategy: 'rls' } } }, 'plans.Own Plan must be a-z'],
    [
      { plans: { pro: { strategy: 'row' } } },
      'plans.pro.strategy is wrong: invalid option: expected one of "rls"|"schema"|"database"',
    ],
    [{ seed: 'later' }, 'seed must be a function'],
    [{ connections: { perDatabase: 0 } }, 'connections.perDatabase is wrong: too small'],
    [
      { connections: { perDatabase: limits.connectionsPerPoolMax + 1 } },
      'connections.perDatabase is wrong: too big',
    ],
    [{ connections: { waitMs: 1.5 } }, 'connections.waitMs is wrong: expected int'],
    [{ servers: { Second: { url: otherUrl } } }, 'servers.Second must be a-z'],
    [{ servers: { second: {} } }, 'servers.second.url is missing'],
    [{ servers: { primary: { region: 'EU' } } }, 'servers.primary.region must be a-z'],
    [
      { servers: { primary: { caps: { databases: 0 } } } },
      'servers.primary.caps.databases is wrong: too small',
    ],
    [{ servers: { primary: { weight: 0 } } }, 'servers.primary.weight is wrong: too small'],
    [{ servers: { primary: { weight: 1_001 } } }, 'servers.primary.weight is wrong: too big'],
    [{ servers: { primary: { weight: '2' } } }, 'servers.primary.weight is wrong: expected number'],
    [
      { plans: { pro: { strategy: 'rls', placement: { server: 'gone' } } } },
      'plans.pro.placement.server must be one of the servers',
    ],
    [
      { servers: { second: { url: 'http://x' } } },
      'servers.second.url must be a URL that begins with postgres',
    ],
    [{ servers: { primary: { url: otherUrl } } }, 'servers.primary.url must be left out'],
    [{ servers: { primary: { pooler: { url: otherUrl } } } }, 'servers.primary.pooler must be left out'],
    [
      { servers: { second: { url: databaseUrl } } },
      'servers.second.url must not lead to the server primary too',
    ],
    [
      { servers: { second: { url: otherUrl }, third: { url: otherUrl.replace(':5432', '') } } },
      'servers.third.url must not lead to the server second too',
    ],
  ])('refuses %j', (extra, message) => {
    expect(problemOf({ ...minimal, ...extra })).toContain(`quickscale.config.ts: ${message}`)
  })

  test.each([
    ['31 bytes', Buffer.alloc(31, 1).toString('base64')],
    ['33 bytes', Buffer.alloc(33, 1).toString('base64')],
    ['64 bytes', Buffer.alloc(64, 1).toString('base64')],
    ['text that is not base64', '!'.repeat(43)],
    ['bits that decoding would drop', `${'A'.repeat(42)}B=`],
    ['nothing', ''],
  ])('refuses a master key of %s', (_, key) => {
    expect(problemOf({ ...minimal, masterKey: key })).toContain('masterKey must be 32 bytes in base64')
  })

  test('accepts a master key in base64 and in base64url, with 32 bytes each', () => {
    const bytes = Buffer.alloc(32, 0xfb)
    for (const encoding of ['base64', 'base64url'] as const) {
      const parsed = parseConfig({ ...minimal, masterKey: bytes.toString(encoding) })
      expect(Buffer.from(parsed.masterKey, 'base64')).toEqual(bytes)
    }
  })

  test('reports every problem at once and quotes no value', () => {
    const secretUrl = 'mysql://admin:hush-hush@127.0.0.1/x'
    const error = refusal(() => parseConfig({ databaseUrl: secretUrl, masterKey: 'hush-hush', plan: {} }))
    expect(error.details.keys).toEqual(['databaseUrl', 'masterKey', 'migrations', 'plan'])
    expect(error.message).not.toContain('hush-hush')
    for (const url of ['hush-hush', '']) {
      expect(problemOf({ ...minimal, databaseUrl: url })).toMatch(/databaseUrl (must be|is missing)/)
      expect(problemOf({ ...minimal, servers: { second: { url } } })).not.toContain('hush-hush')
    }
    const servers = { second: { url: secretUrl }, third: { url: databaseUrl } }
    expect(problemOf({ ...minimal, servers })).not.toContain('hush-hush')
    expect(problemOf({ ...minimal, servers: { third: { url: databaseUrl } } })).not.toContain('hush-hush')
  })

  test.each([[null], ['text'], [[]]])('refuses %j, which is no object', (input) => {
    expect(problemOf(input)).toContain('quickscale.config.ts: is wrong: expected object')
  })
})

describe('loadConfig', () => {
  let cwd: string

  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'quickscale-config-'))
    vi.stubEnv('QUICKSCALE_DATABASE_URL', '')
    vi.stubEnv('QUICKSCALE_MASTER_KEY', '')
  })

  afterEach(async () => {
    vi.unstubAllEnvs()
    await rm(cwd, { recursive: true })
  })

  const write = (text: string) => writeFile(join(cwd, 'quickscale.config.ts'), text)
  const writeValues = (values: object) => write(`export default ${JSON.stringify(values)} satisfies object`)

  test('reads quickscale.config.ts and resolves migrations against its directory', async () => {
    await writeValues(
      defineConfig({ ...minimal, installation: 'demo', migrations: ['./migrations', '/srv/more'] }),
    )
    const config = await loadConfig({ cwd })
    expect(config.installation).toBe('demo')
    expect(config.migrations).toEqual([join(cwd, 'migrations'), '/srv/more'])
  })

  test('lets the environment replace the file, and overrides replace both', async () => {
    await writeValues(minimal)
    vi.stubEnv('QUICKSCALE_DATABASE_URL', 'postgres://from-environment/x')
    vi.stubEnv('QUICKSCALE_MASTER_KEY', Buffer.alloc(32, 9).toString('base64'))
    const config = await loadConfig({ cwd, overrides: { databaseUrl: 'postgres://from-overrides/x' } })
    expect(config.databaseUrl).toBe('postgres://from-overrides/x')
    expect(config.masterKey).toBe(Buffer.alloc(32, 9).toString('base64'))
  })

  test('replaces lists and plans of the file instead of mixing them', async () => {
    await writeValues({ ...minimal, plans: { solo: { strategy: 'rls' } } })
    const config = await loadConfig({
      cwd,
      overrides: { migrations: ['/only'], plans: { duo: { strategy: 'schema' } } },
    })
    expect(config.migrations).toEqual(['/only'])
    expect(config.plans).toEqual({ duo: { strategy: 'schema' } })
  })

  test('works without a file when environment and overrides are complete', async () => {
    vi.stubEnv('QUICKSCALE_DATABASE_URL', databaseUrl)
    const config = await loadConfig({ cwd, overrides: { masterKey, migrations: [] } })
    expect(config.databaseUrl).toBe(databaseUrl)
  })

  test('says where a wrong value came from: file, environment variable or overrides', async () => {
    await writeValues({ ...minimal, instalation: 'demo' })
    vi.stubEnv('QUICKSCALE_MASTER_KEY', 'short')
    const failure = loadConfig({ cwd, overrides: { migrations: ['relative'] } })
    await expect(failure).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(failure).rejects.toThrow(
      'quickscale.config.ts: instalation is not a known key, did you mean installation?',
    )
    await expect(failure).rejects.toThrow('QUICKSCALE_MASTER_KEY: masterKey must be 32 bytes')
    await expect(failure).rejects.toThrow('overrides: migrations.0 must be an absolute path')
  })

  test('says that the file is absent when something is missing', async () => {
    const failure = loadConfig({ cwd })
    await expect(failure).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    await expect(failure).rejects.toThrow(`quickscale.config.ts (absent in ${cwd}): migrations is missing`)
  })

  test('reports a file that throws, with its reason as cause', async () => {
    await write('throw new RangeError("no such stage")')
    const failure = loadConfig({ cwd })
    await expect(failure).rejects.toThrow(/quickscale\.config in .* cannot be loaded: no such stage/)
    await expect(failure).rejects.toMatchObject({ code: 'CONFIG_INVALID', cause: { name: 'RangeError' } })
  })
})
