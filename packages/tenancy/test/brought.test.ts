// Databases that customers bring, on a server of theirs.
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import {
  assertVersion,
  findMissingRights,
  judgeOffer,
  type OfferFacts,
  parseBroughtUrl,
} from '../src/placements/offer.ts'
import { deriveSeal, sealToken } from '../src/session/token.ts'
import { tokenKeyOf } from '../src/strategies/token-keys.ts'
import { Customer, Line } from './support/customer.ts'
import { TestInstallation } from './support/installation.ts'
import { killAmid } from './support/kill-amid.ts'

let customer: Customer
let installation: TestInstallation

const plans = {
  only: { strategy: 'database' as const },
  brought: { strategy: 'database' as const },
  regional: { strategy: 'database' as const, placement: { region: 'eu' } },
  rows: { strategy: 'rls' as const },
}
const config = { plans, broughtDatabases: { requireTls: false } }
const wanted = (slug: string, url: string) => ({ slug, name: slug, plan: 'only', database: { url } })

beforeAll(async () => {
  customer = await Customer.open()
  installation = await TestInstallation.open('database', config)
})
afterAll(async () => {
  await installation?.close()
  await customer?.close()
})

const brought = async () =>
  (await installation.inCatalog("select name from catalog.server where name like 'brought:%'")).rows

test('a tenant lives in the database that its customer brought, and leaves it as it was', async () => {
  const { tenancy } = installation
  const { name, url } = await customer.offer()
  const { id } = await tenancy.tenants.create(wanted('own', url))
  expect(await tenancy.tenants.placement('own')).toMatchObject({ strategy: 'database', databaseName: name })
  const tenant = tenancy.tenant('own')
  await tenant.query("insert into note (id, body) values (1, 'at home')")
  expect((await tenant.query('select body from note')).rows).toEqual([{ body: 'at home' }])
  expect(await customer.query('select body, tenant_id from app.note', { database: name })).toEqual([
    { body: 'at home', tenant_id: id },
  ])
  expect((await tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  expect(await tenancy.drift()).toMatchObject({ ok: true, failed: [] })
  const kept = JSON.stringify([
    (await installation.inCatalog('select * from catalog.server')).rows,
    (await installation.inCatalog('select * from catalog.audit')).rows,
  ])
  expect(kept).toContain(name)
  expect(kept).not.toContain('very-secret')

  await tenancy.tenants.suspend('own')
  await expect(tenant.query('select 1')).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' })
  const rights =
    "select pg_has_role(rolname, 'quickscale_silo', 'member') as open from pg_roles where rolname = $1"
  const login = `${installation.name}_${id.replaceAll('-', '')}`
  expect(await customer.query(rights, { values: [login] })).toEqual([{ open: false }])
  await tenancy.tenants.resume('own')
  expect(await customer.query(rights, { values: [login] })).toEqual([{ open: true }])

  await customer.query('create table public.beside as select 1 as id', { database: name })
  const { gone } = await tenancy.tenants.delete('own')
  expect(gone.map(({ kind }) => kind)).toEqual(['schema', 'schema', 'schema', 'schema', 'role', 'rows'])
  expect(await customer.traces(name)).toEqual([])
  expect(await customer.query('select * from public.beside', { database: name })).toEqual([{ id: 1 }])
  expect(await customer.publicRights(name)).toEqual({ connect: true, temporary: true, usage: true })
  expect(await brought()).toEqual([])
})

test('what depends on the tenant’s tables and is the customer’s keeps them from being taken away', async () => {
  const { tenancy } = installation
  const { name, url } = await customer.offer()
  await tenancy.tenants.create(wanted('entangled', url))
  await customer.query('create view public.report as select body from app.note', { database: name })
  await expect(tenancy.tenants.delete('entangled')).rejects.toMatchObject({
    code: 'DATABASE_ENTANGLED',
    message: expect.stringContaining('view public.report'),
  })
  expect(await customer.query('select * from public.report', { database: name })).toEqual([])
  await customer.query('drop view public.report', { database: name })
  await tenancy.tenants.delete('entangled')
  expect(await customer.traces(name)).toEqual([])
})

describe('is refused before anything is changed:', () => {
  let name: string
  let url: string
  beforeAll(async () => {
    const offer = await customer.offer()
    name = offer.name
    url = offer.url
    await installation.inDatabase(
      `${installation.name}_catalog`,
      `create database ${installation.name}_alias`,
    )
  })

  /** Nothing of the attempt is in the catalog or at the customer's, and the password is in no error. */
  async function refuse(offered: string, code: string): Promise<void> {
    const state = async () => [
      (await installation.inCatalog('select count(*) from catalog.tenant')).rows,
      (await installation.inCatalog('select count(*) from catalog.server')).rows,
      await customer.traces(name),
    ]
    const before = await state()
    const error = await installation.tenancy.tenants
      .create(wanted('refused', offered))
      .catch((caught) => caught)
    expect(error).toMatchObject({ code, remedy: expect.stringMatching(/./) })
    expect(`${error} ${JSON.stringify(error)} ${error.cause} ${error.stack}`).not.toMatch(
      /very-(secret|wrong)/,
    )
    expect(await state()).toEqual(before)
  }

  test.each([
    ['is none', 'crm'],
    ['does not begin with postgres', 'https://owner:very-secret@localhost/crm'],
    ['parameter user', 'postgres://owner:very-secret@localhost/crm?user=postgres'],
    ['parameter host', 'postgres://owner:very-secret@localhost/crm?sslmode=require&host=elsewhere'],
    ['parameter sslrootcert', 'postgres://owner:very-secret@localhost/crm?sslrootcert=/etc/passwd'],
    ['parameter options', 'postgres://owner:very-secret@localhost/crm?options=-c%20row_security%3Doff'],
    ['no host', 'postgres://owner:very-secret@%2Ftmp/crm'],
    ['no user', 'postgres://localhost/crm'],
    ['no database', 'postgres://owner:very-secret@localhost/'],
    ['no database', 'postgres://owner:very-secret@localhost/crm/other'],
  ])('a URL: %s', async (reason, offered) => {
    const refused = expect.objectContaining({
      code: 'DATABASE_URL_INVALID',
      message: expect.stringContaining(reason),
    })
    expect(() => parseBroughtUrl(offered)).toThrow(refused)
    expect(parseBroughtUrl(`${url}?sslmode=verify-full`)).toContain('sslmode')
  })

  test.each([
    [
      'holds a table',
      'DATABASE_NOT_EMPTY',
      'create table public.invoice (id integer)',
      'drop table public.invoice',
    ],
    ['holds a schema', 'DATABASE_NOT_EMPTY', 'create schema app', 'drop schema app'],
    [
      'holds a function',
      'DATABASE_NOT_EMPTY',
      'create function public.f() returns integer return 1',
      'drop function public.f',
    ],
    ['publishes', 'DATABASE_NOT_EMPTY', 'create publication whole for all tables', 'drop publication whole'],
    [
      'gives rights by default',
      'DATABASE_NOT_EMPTY',
      'alter default privileges grant select on tables to public',
      'alter default privileges revoke select on tables from public',
    ],
    ['is of an installation', 'DATABASE_TAKEN', 'create schema quickscale', 'drop schema quickscale'],
    [
      'is read only',
      'DATABASE_UNSUITABLE',
      'alter database "%" set default_transaction_read_only = on',
      'alter database "%" reset default_transaction_read_only',
    ],
    [
      'is of another role',
      'DATABASE_RIGHTS_MISSING',
      'alter database "%" owner to poor',
      'alter database "%" owner to owner',
    ],
  ])('a database that %s', async (_what, code, change, undo) => {
    // A database that is read only cannot be changed from within.
    const where = change.startsWith('alter database') ? {} : { database: name }
    await customer.query(change.replace('%', name), where)
    await refuse(url, code)
    await customer.query(undo.replace('%', name), where)
  })

  test('a way that leads nowhere, or not in', async () => {
    await refuse('crm', 'DATABASE_URL_INVALID')
    await refuse(Object.assign(new URL(url), { port: '1' }).href, 'SERVER_UNREACHABLE')
    await refuse(url.replace('very-secret', 'very-wrong'), 'SERVER_UNREACHABLE')
    await refuse(url.replace(name, 'crm_gone'), 'SERVER_UNREACHABLE')
  })

  test('a role that may not make roles, and a database that others are made from', async () => {
    await customer.query(`alter database ${name} owner to poor`)
    await refuse(customer.urlOf(name, 'poor', 'very-secret'), 'DATABASE_RIGHTS_MISSING')
    await customer.query(`alter database ${name} owner to owner`)
    await refuse(customer.urlOf('postgres'), 'DATABASE_UNSUITABLE')
  })

  test('a server of this installation, by another name', async () => {
    await refuse(await installation.urlOf('one'), 'DATABASE_TAKEN')
    const alias = new URL(inject('databaseUrl'))
    alias.hostname = alias.hostname === 'localhost' ? '127.0.0.1' : 'localhost'
    alias.pathname = `/${installation.name}_alias`
    await refuse(alias.href, 'DATABASE_TAKEN')
  })

  test('an encoding, by an offer that is right but for it', async () => {
    const { url } = await customer.offer(
      "encoding 'LATIN1' locale 'C' locale_provider libc template template0",
    )
    await expect(installation.tenancy.tenants.create(wanted('refused', url))).rejects.toMatchObject({
      code: 'DATABASE_UNSUITABLE',
      message: expect.stringContaining('LATIN1'),
    })
  })

  test('a connection that is not encrypted, unless the configuration says otherwise', async () => {
    const strict = await installation.another('database', { plans })
    await expect(strict.tenants.create(wanted('refused', url))).rejects.toMatchObject({
      code: 'DATABASE_INSECURE',
    })
    expect(await customer.traces(name)).toEqual([])
  })

  test('a plan of another strategy, and rules that the database cannot fulfil', async () => {
    const { tenants } = installation.tenancy
    await expect(tenants.create({ ...wanted('refused', url), plan: 'rows' })).rejects.toMatchObject({
      code: 'TENANT_INVALID',
      details: { field: 'database' },
    })
    for (const rules of [{ server: 'primary' }, { plan: 'regional', region: 'us' }]) {
      await expect(tenants.create({ ...wanted('refused', url), ...rules })).rejects.toMatchObject({
        code: 'PLACEMENT_REFUSED',
      })
    }
  })

  const fit: OfferFacts = {
    database: 'crm',
    system: '1',
    oid: '2',
    startedAt: '3',
    encoding: 'UTF8',
    maintenance: false,
    recovering: false,
    readOnly: false,
    triggersOff: false,
    encrypted: true,
    ownsDatabase: true,
    mayCreate: true,
    extensionsMissing: [],
  }
  test.each<[Partial<OfferFacts>, string | null]>([
    [{}, null],
    [{ encrypted: false }, 'DATABASE_INSECURE'],
    [{ recovering: true }, 'DATABASE_UNSUITABLE'],
    [{ triggersOff: true }, 'DATABASE_UNSUITABLE'],
    [{ extensionsMissing: ['citext'] }, 'DATABASE_UNSUITABLE'],
  ])('what a server says of itself, %j', (facts, code) => {
    const judge = () => judgeOffer({ ...fit, ...facts }, { server: 'x', requireTls: true })
    if (code === null) expect(judge).not.toThrow()
    else expect(judge).toThrow(expect.objectContaining({ code }))
  })

  test('an old version, and a role without one of the rights', () => {
    expect(() => assertVersion(14)).toThrow(expect.objectContaining({ code: 'DATABASE_UNSUITABLE' }))
    expect(() => assertVersion(15)).not.toThrow()
    const role = {
      version: 16,
      administrator: 'owner',
      superuser: false,
      lacking: ['CREATEDB'],
      ungrantable: [],
    }
    expect(findMissingRights(role, fit)).toBe(null)
    expect(findMissingRights(role, { ...fit, mayCreate: false })).toContain('CREATE')
    expect(findMissingRights({ ...role, lacking: ['BYPASSRLS'] }, fit)).toContain('BYPASSRLS')
    expect(findMissingRights({ ...role, version: 15 }, fit)).toContain('superuser')
  })
})

describe('a database that was brought', () => {
  let name: string
  let url: string
  let line: Line
  beforeAll(async () => {
    const offer = await customer.offer()
    name = offer.name
    url = offer.url
    line = await Line.open(url)
    await installation.tenancy.tenants.create(wanted('home', line.through(url)))
  })

  test('is nobody else’s: not another tenant’s, by any address, nor another installation’s, nor a placed tenant’s', async () => {
    const { tenants } = installation.tenancy
    for (const same of [url, line.through(url)]) {
      await expect(tenants.create(wanted('second', same))).rejects.toMatchObject({ code: 'DATABASE_TAKEN' })
    }
    await expect(tenants.create(wanted('home', url))).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
    const other = await TestInstallation.open('rls', {
      ...config,
      plans: { ...plans, only: { strategy: 'rls' } },
    })
    try {
      const theirs = { ...wanted('theirs', url), plan: 'silo' }
      const tenancy = await other.another('rls', { ...config, plans: { silo: { strategy: 'database' } } })
      await tenancy.migrate()
      await expect(tenancy.tenants.create(theirs)).rejects.toMatchObject({
        code: 'DATABASE_TAKEN',
        message: expect.stringContaining('another installation'),
      })
    } finally {
      await other.close()
    }
    const { id } = await tenants.get('home')
    for (const destination of [{}, { to: 'rls' as const }, { server: 'primary' }]) {
      await expect(installation.tenancy.moves.start('home', destination)).rejects.toMatchObject({
        code: 'MOVE_REFUSED',
      })
    }
    await tenants.create({ slug: 'placed', name: 'placed', plan: 'only' })
    for (const rules of [{ server: `brought:${id}` }, { region: 'eu' }]) {
      const refused = tenants.create({ slug: 'guest', name: 'guest', plan: 'only', ...rules })
      await expect(refused).rejects.toMatchObject({ code: 'PLACEMENT_REFUSED' })
    }
    await expect(
      installation.tenancy.moves.start('placed', { server: `brought:${id}` }),
    ).rejects.toMatchObject({
      code: 'PLACEMENT_REFUSED',
    })
    expect((await tenants.placement('placed')).databaseName).not.toBe(name)
    await tenants.delete('placed')
    expect(
      await customer.query('select tenant_id from quickscale.placement', { database: name }),
    ).toHaveLength(1)
  })

  test('is entered by its tenant’s seals alone, and its keys open nothing else', async () => {
    const { tenancy } = installation
    const masterKey = Buffer.from(installation.masterKey, 'base64')
    const [home, one] = await Promise.all(['home', 'one'].map((slug) => tenancy.tenants.get(slug)))
    const [here, there] = await Promise.all(['home', 'one'].map((slug) => tenancy.tenants.placement(slug)))
    if (!home || !one || !here || !there) throw new Error('tenants are missing')
    const enter = async (tenantId: string, databaseId: string) => {
      const seal = deriveSeal(tokenKeyOf(masterKey, databaseId), tenantId, 1)
      const values = [...sealToken(seal, { actor: null, expiresAtMs: Date.now() + 60_000 })]
      return await customer.query('select quickscale.enter($1, $2, $3)', { database: name, values })
    }
    await expect(enter(one.id, here.databaseId)).rejects.toMatchObject({ code: 'QS003' })
    await expect(enter(home.id, there.databaseId)).rejects.toMatchObject({ code: 'QS004' })
    await enter(home.id, here.databaseId)
    // What the customer, who owns the database, can read there.
    const [key] = await customer.query('select inner_pad from quickscale.token_key', { database: name })
    const { rows } = await installation.asOwner('one', 'select inner_pad from quickscale.token_key')
    expect(key).not.toEqual(rows[0])
  })

  test('that cannot be reached is reported by tenant, and stops nothing for the others', async () => {
    const { tenancy } = installation
    const { id } = await tenancy.tenants.get('home')
    await line.cut()
    expect(await tenancy.migrate()).toMatchObject({ failed: [{ tenantId: id, code: 'SERVER_UNREACHABLE' }] })
    expect(await tenancy.drift()).toMatchObject({
      ok: false,
      failed: [{ tenantId: id, code: 'SERVER_UNREACHABLE' }],
    })
    expect(await tenancy.keys.rotate({ graceSeconds: 0 })).toMatchObject({
      sealing: 'k2',
      retired: ['k1'],
      failed: [{ tenantId: id, code: 'SERVER_UNREACHABLE' }],
    })
    const { findings } = await tenancy.doctor()
    expect(findings.filter(({ level }) => level === 'error')).toMatchObject([
      { check: 'brought-unreachable', subject: id, message: expect.stringContaining('SERVER_UNREACHABLE') },
    ])
    const answers = new Map<string, unknown>()
    for await (const { tenant, error } of tenancy.fleet.query('select 1')) answers.set(tenant.slug, error)
    expect([...answers.keys()].sort()).toEqual(['home', 'one', 'two'])
    expect([answers.get('one'), answers.get('two')]).toEqual([null, null])
    expect(answers.get('home')).toBeInstanceOf(Error)
    await expect(tenancy.tenants.suspend('home')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
  })

  test('gets another URL, and with it what it has missed', async () => {
    const { tenancy } = installation
    const stranger = await customer.offer()
    for (const [wrong, code] of [
      [stranger.url, 'DATABASE_UNSUITABLE'],
      [line.through(url), 'SERVER_UNREACHABLE'],
    ] as const) {
      await expect(tenancy.tenants.reconnect('home', { url: wrong })).rejects.toMatchObject({ code })
    }
    await expect(tenancy.tenants.reconnect('one', { url })).rejects.toMatchObject({ code: 'TENANT_INVALID' })
    expect(await customer.traces(stranger.name)).toHaveLength((await customer.traces('postgres')).length)
    expect(await tenancy.tenants.reconnect('home', { url })).toMatchObject({
      state: 'suspended',
      settled: true,
    })
    await tenancy.tenants.resume('home')
    expect(await tenancy.migrate()).toMatchObject({ failed: [] })
    const tenant = tenancy.tenant('home')
    await tenant.query("insert into note (id, body) values (1, 'again')")
    expect((await tenant.query('select body from note')).rows).toEqual([{ body: 'again' }])
    expect(await customer.query('select id from quickscale.token_key', { database: name })).toEqual([
      { id: 'k2' },
    ])
    expect((await tenancy.doctor()).findings.filter(({ level }) => level === 'error')).toEqual([])
  })
})

test('a tenant whose database is gone for good is forgotten when that is asked for, and not by itself', async () => {
  const { tenancy } = installation
  const { name, url } = await customer.offer()
  const { id } = await tenancy.tenants.create(wanted('lost', url))
  await customer.query(`alter database ${name} rename to ${name}_elsewhere`)
  await expect(tenancy.tenants.delete('lost')).rejects.toMatchObject({ code: 'SERVER_UNREACHABLE' })
  expect(await tenancy.tenants.get('lost')).toMatchObject({ state: 'deleting' })
  expect(await tenancy.tenants.delete('lost', { abandon: true })).toMatchObject({ gone: [] })
  await expect(tenancy.tenants.get('lost')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  const { rows } = await installation.inCatalog(
    "select details from catalog.audit where tenant_id = $1 and action = 'tenant.deleted'",
    [id],
  )
  expect(rows).toMatchObject([{ details: { abandoned: true } }])
  // What was abandoned is the customer's to take away.
  const login = `${installation.name}_${id.replaceAll('-', '')}`
  await customer.query(
    `drop schema app, quickscale, extensions, quickscale_brought cascade; drop owned by ${login}; drop role ${login}`,
    { database: `${name}_elsewhere` },
  )
})

test('a tenant whose database answers is taken away whole, abandoned or not', async () => {
  const { name, url } = await customer.offer()
  await installation.tenancy.tenants.create(wanted('reached', url))
  const { gone } = await installation.tenancy.tenants.delete('reached', { abandon: true })
  expect(gone.length).toBeGreaterThan(0)
  expect(
    await customer.query('select nspname from pg_namespace where nspname ~ $1', {
      database: name,
      values: ['^(app|quickscale)'],
    }),
  ).toEqual([])
})

describe('what is interrupted', () => {
  test('is gone on with by the next creation with the same database, or by a sweep, wherever it was killed', async () => {
    const { tenancy, name: installationName, masterKey } = installation
    const { name, url } = await customer.offer()
    const whole = {
      databaseUrl: inject('databaseUrl'),
      installation: installationName,
      masterKey,
      migrations: [fileURLToPath(new URL('./support/migrations', import.meta.url))],
      ...config,
    }
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 700 }), fc.boolean(), async (afterMs, sweeps) => {
        run += 1
        const slug = `brought-${run}`
        await killAmid(whole, [slug], { afterMs, broughtUrl: url })
        if (sweeps) expect(await tenancy.tenants.sweep()).toMatchObject({ failed: [] })
        const found = await tenancy.tenants.get(slug).catch(() => null)
        if (found !== null && !sweeps && found.state === 'provisioning') {
          const other = await customer.offer()
          const create = (offered: string) =>
            tenancy.tenants.create({ ...wanted(slug, offered), plan: 'brought' })
          await expect(create(other.url)).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
          expect((await create(url)).id).toBe(found.id)
        }
        if (found !== null || !sweeps) {
          if (found === null) await tenancy.tenants.create({ ...wanted(slug, url), plan: 'brought' })
          const tenant = tenancy.tenant(slug)
          await tenant.query('insert into note (id, body) values (1, $1)', [slug])
          expect((await tenant.query('select body from note')).rows).toEqual([{ body: slug }])
          await tenancy.tenants.delete(slug)
        }
        const others = (await customer.traces('postgres')).length
        expect(await customer.traces(name)).toHaveLength(others)
        expect((await brought()).length).toBeLessThanOrEqual(1)
      }),
      { numRuns: 5, verbose: true },
    )
  })

  test('by a step that fails leaves the database as it was, and two who want it at once do not both get it', async () => {
    const seed = async () => {
      throw new Error('seed is broken')
    }
    const broken = await installation.another('database', { ...config, seed })
    const { name, url } = await customer.offer()
    const none = (await customer.traces('postgres')).length
    await expect(broken.tenants.create(wanted('broken', url))).rejects.toThrow('seed is broken')
    await expect(broken.tenants.get('broken')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    expect(await customer.traces(name)).toHaveLength(none)
    const other = await installation.another('database', config)
    const outcomes = await Promise.allSettled([
      installation.tenancy.tenants.create(wanted('left', url)),
      other.tenants.create(wanted('right', url)),
    ])
    const reasons = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    expect(reasons).toMatchObject([{ code: 'DATABASE_TAKEN' }])
    const [made] = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    await installation.tenancy.tenants.delete(made?.slug ?? '')
    expect(await customer.traces(name)).toHaveLength(none)
  })
})

test('a superuser’s URL leaves no more behind, and the customer’s settings are not the tenant’s', async () => {
  const { tenancy } = installation
  const { name } = await customer.offer()
  await customer.query(
    `alter database ${name} set timezone = 'Asia/Tokyo'; alter database ${name} set datestyle = 'SQL, DMY'`,
  )
  const state = async () => [
    // The reader of another tenant is made when it is first needed.
    (await customer.traces(name)).filter((trace) => !JSON.stringify(trace).includes('_reader')),
    await customer.query(
      `select oid::regprocedure::text as name, proleakproof, has_function_privilege('public', oid, 'execute') as open
         from pg_proc where pronamespace = 'pg_catalog'::regnamespace order by 1`,
      { database: name },
    ),
    await customer.query(
      `select has_language_privilege('public', 'plpgsql', 'usage') as plpgsql,
              (select count(*) from pg_amop) as operators, (select count(*) from pg_amproc) as functions`,
      { database: name },
    ),
  ]
  const before = await state()
  await tenancy.tenants.create({ ...wanted('super', customer.urlOf(name)), region: 'eu' })
  expect(await state()).not.toEqual(before)
  const settings = "select now()::text ~ '^....-..-..' as iso, current_setting('TimeZone') as zone"
  const [here, there] = await Promise.all(
    ['super', 'one'].map(async (slug) => (await tenancy.tenant(slug).query(settings)).rows),
  )
  expect(here).toEqual(there)
  for await (const { tenant, rows } of tenancy.fleet.query(settings)) {
    if (tenant.slug === 'super') expect(rows).toEqual(there)
  }
  await tenancy.admin.transaction(
    { who: 'test', why: 'the unscoped path', tenant: 'super' },
    async (transaction) => {
      expect((await transaction.query(settings)).rows).toEqual(there)
    },
  )
  await expect(tenancy.tenants.update('super', { plan: 'rows' })).rejects.toMatchObject({
    code: 'PLAN_NEEDS_MOVE',
  })
  expect(await tenancy.tenants.update('super', { plan: 'regional' })).toMatchObject({ plan: 'regional' })

  await customer.query(`create role analyst login; grant connect on database ${name} to analyst`)
  const { ok, findings } = await tenancy.doctor()
  const shared = findings.filter(({ check }) => check === 'brought-shared').map(({ message }) => message)
  expect({ ok, shared }).toEqual({
    ok: true,
    shared: expect.arrayContaining([expect.stringContaining('analyst may connect')]),
  })
  await customer.query(`revoke connect on database ${name} from analyst; drop role analyst`)
  const { gone } = await tenancy.tenants.delete('super')
  expect(gone.filter(({ kind }) => kind === 'role')).toHaveLength(3)
  expect(await state()).toEqual(before)
})
