import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checks, toFinding } from '../src/doctor/checks.ts'
import type { Finding } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

let installation: TestInstallation
/** The databases and login roles of `one` (shared tables) and `own` (a database). */
let shared: string
let silo: string
let ownId: string

beforeAll(async () => {
  const plans = Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }]))
  installation = await TestInstallation.open('rls', { plans: { only: { strategy: 'rls' }, ...plans } })
  await installation.tenancy.tenants.create({ slug: 'bridged', name: 'Bridged', plan: 'schema' })
  ownId = (await installation.tenancy.tenants.create({ slug: 'own', name: 'Own', plan: 'database' })).id
  shared = (await installation.tenancy.tenants.placement('one')).databaseName
  silo = (await installation.tenancy.tenants.placement('own')).databaseName
})
afterAll(() => installation.close())

async function findingsOf(check: string): Promise<Finding[]> {
  const { findings } = await installation.tenancy.doctor()
  return findings.filter((finding) => finding.check === check)
}

test('finds no fault in an installation as it was made, under every strategy', async () => {
  const seen: string[] = []
  const report = await installation.tenancy.doctor({ onProgress: (where) => seen.push(where) })
  expect(report.findings.filter(({ level }) => level === 'error')).toEqual([])
  expect(report).toMatchObject({ ok: true, databases: 3, tenants: 4 })
  expect(seen).toEqual(expect.arrayContaining([shared, silo, `${installation.name}_template`]))
})

test('changes nothing', async () => {
  const state = 'select xmin::text, * from quickscale.placement order by tenant_id'
  const before = await installation.inDatabase(shared, state)
  await installation.tenancy.doctor()
  expect((await installation.inDatabase(shared, state)).rows).toEqual(before.rows)
})

test('finds no fault any more once a database from before a rotation was migrated', async () => {
  await installation.inDatabase(silo, `update quickscale.token_key set id = 'k9'`)
  expect(await findingsOf('token-key-missing')).toMatchObject([{ where: silo }])
  await installation.tenancy.migrate()
  expect(await findingsOf('token-key-missing')).toEqual([])
  const ids = await installation.inDatabase(silo, 'select id from quickscale.token_key')
  expect(ids.rows).toEqual([{ id: 'k1' }])
})

interface Planted {
  readonly check: string
  readonly plant: string
  readonly mend: string
  /** @defaultValue the shared database */
  readonly inSilo?: boolean
}

// {login} is the login role of the database, {database} its name, {role} a role of the test.
const planted: readonly Planted[] = [
  { check: 'login-unsafe', plant: 'alter role {login} createdb', mend: 'alter role {login} nocreatedb' },
  {
    check: 'login-member',
    plant: 'grant pg_read_all_data to {login}',
    mend: 'revoke pg_read_all_data from {login}',
  },
  {
    check: 'login-member',
    plant: 'grant quickscale_silo to {login}',
    mend: 'revoke quickscale_silo from {login}',
  },
  {
    check: 'login-member',
    plant: 'create role {login}_reader login; grant quickscale_runtime, quickscale_reader to {login}_reader',
    mend: 'drop role {login}_reader',
  },
  {
    check: 'login-member',
    plant: 'create role {login}_unscoped login; grant quickscale_owner to {login}_unscoped',
    mend: 'drop role {login}_unscoped',
  },
  {
    check: 'login-unsafe',
    plant: 'create role {login}_reader login bypassrls; grant quickscale_reader to {login}_reader',
    mend: 'drop role {login}_reader',
  },
  {
    check: 'login-owns',
    plant: 'create table app.theirs (id integer); alter table app.theirs owner to {login}',
    mend: 'drop table app.theirs',
  },
  {
    check: 'database-open',
    plant: 'grant connect on database {database} to public',
    mend: 'revoke connect on database {database} from public',
  },
  {
    check: 'database-open',
    plant: 'create role {role} login; grant connect on database {database} to {role}',
    mend: 'revoke connect on database {database} from {role}; drop role {role}',
    inSilo: true,
  },
  {
    check: 'login-may-create',
    plant: 'grant temporary on database {database} to {login}',
    mend: 'revoke temporary on database {database} from {login}',
  },
  {
    check: 'login-may-create',
    plant: 'grant create on schema app to quickscale_runtime',
    mend: 'revoke create on schema app from quickscale_runtime',
  },
  {
    check: 'seal-open',
    plant: 'grant select on quickscale.context_key to {login}',
    mend: 'revoke select on quickscale.context_key from {login}',
  },
  {
    check: 'seal-open',
    plant: 'grant update on quickscale.placement to quickscale_runtime',
    mend: 'revoke update on quickscale.placement from quickscale_runtime',
  },
  {
    check: 'seal-open',
    plant: 'grant execute on function quickscale.open_gates to public',
    mend: 'revoke execute on function quickscale.open_gates from public',
  },
  {
    check: 'seal-owner',
    plant: 'alter table quickscale.gate owner to quickscale_owner',
    mend: 'alter table quickscale.gate owner to quickscale_seal',
  },
  {
    check: 'functions-open',
    plant: 'grant execute on function set_config to public',
    mend: 'revoke execute on function set_config from public',
  },
  {
    check: 'language-open',
    plant: 'grant usage on language plpgsql to public',
    mend: 'revoke usage on language plpgsql from public',
  },
  {
    check: 'operators-leaky',
    plant: 'alter function pg_catalog.numeric_eq(numeric, numeric) not leakproof',
    mend: 'alter function pg_catalog.numeric_eq(numeric, numeric) leakproof',
  },
  {
    check: 'table-right',
    plant: 'grant truncate on app.note to quickscale_runtime',
    mend: 'revoke truncate on app.note from quickscale_runtime',
  },
  {
    check: 'token-key-missing',
    plant: `update quickscale.token_key set id = 'k9'`,
    mend: `update quickscale.token_key set id = 'k1'`,
  },
  {
    check: 'gate-stale',
    plant: `insert into quickscale.gate select 'left over', tenant, search_path, token_inner, token_outer, context_inner, context_outer from quickscale.gate limit 1`,
    mend: `delete from quickscale.gate where id = 'left over'`,
  },
  {
    check: 'objects-outdated',
    plant: `insert into quickscale.version values (9999, 'later')`,
    mend: 'delete from quickscale.version where number = 9999',
  },
  {
    check: 'layout-faulty',
    plant: 'alter table app.note no force row level security',
    mend: 'alter table app.note force row level security',
  },
  {
    check: 'layout-faulty',
    plant: 'alter table app.note no force row level security',
    mend: 'alter table app.note force row level security',
    inSilo: true,
  },
]

describe('finds what is planted:', () => {
  test.each(planted)('$check by $plant', async ({ check, plant, mend, inSilo }) => {
    const database = inSilo === true ? silo : shared
    const words: Readonly<Record<string, string>> = {
      login: database,
      database,
      role: `t_${randomBytes(5).toString('hex')}`,
    }
    const fill = (sql: string) => sql.replace(/\{(\w+)\}/g, (_, word: string) => words[word] ?? '')
    expect(await findingsOf(check)).toEqual([])
    await installation.inDatabase(database, fill(plant))
    try {
      const found = await findingsOf(check)
      expect(found.length).toBeGreaterThan(0)
      for (const { message, remedy, level } of found) {
        expect(`${message} ${remedy}`).not.toMatch(/\{\w+\}/)
        expect(level).toBe(checks[check as keyof typeof checks].level)
      }
    } finally {
      await installation.inDatabase(database, fill(mend))
    }
    expect(await findingsOf(check)).toEqual([])
  })
})

describe('compares catalog and fence:', () => {
  const catalog = (sql: string) => installation.inCatalog(sql, [ownId])
  const fence = (sql: string) => installation.inDatabase(silo, sql, [ownId])

  test('an older epoch, as after a restore from a backup', async () => {
    await catalog('update catalog.placement set epoch = 2 where tenant_id = $1')
    const report = await installation.tenancy.doctor()
    await catalog('update catalog.placement set epoch = 1 where tenant_id = $1')
    expect(report.ok).toBe(false)
    expect(report.findings).toContainEqual(
      expect.objectContaining({
        check: 'fence-differs',
        subject: ownId,
        message: expect.stringContaining(`its epoch is 2 in the catalog and 1 in ${silo}`),
      }),
    )
  })

  test('a state that has not arrived yet, and is no fault', async () => {
    await catalog("update catalog.tenant set state = 'suspended', settled = false where id = $1")
    const { ok, findings } = await installation.tenancy.doctor()
    await catalog("update catalog.tenant set state = 'active', settled = true where id = $1")
    expect(ok).toBe(true)
    expect(findings.filter(({ subject }) => subject === ownId)).toEqual([
      expect.objectContaining({ check: 'tenant-unsettled', message: expect.stringContaining('suspended') }),
    ])
  })

  test('changes of members that fail again and again, and none that are about to arrive', async () => {
    const member = '00000000-0000-7000-8000-000000000001'
    await catalog(
      `insert into catalog.member (tenant_id, user_id, name, role) values ($1, '${member}', 'Ann', 'owner')`,
    )
    expect(await findingsOf('members-stuck')).toEqual([])
    await catalog(`update catalog.member_outbox set attempts = 5, failure = '57P01' where tenant_id = $1`)
    const found = await findingsOf('members-stuck')
    await catalog('delete from catalog.member where tenant_id = $1')
    expect(found).toEqual([
      expect.objectContaining({
        subject: ownId,
        message: expect.stringContaining('1 of them fail with 57P01'),
      }),
    ])
  })

  test('a fence that is gone, and one that nobody knows', async () => {
    await fence(`update quickscale.placement set state = 'deleting' where tenant_id = $1`)
    await fence('delete from quickscale.placement where tenant_id = $1')
    await installation.inDatabase(
      silo,
      `insert into quickscale.placement values ('00000000-0000-7000-8000-000000000000', 1, 'active', 'app')`,
    )
    const { findings } = await installation.tenancy.doctor()
    await installation.inDatabase(silo, `update quickscale.placement set state = 'deleting'`)
    await installation.inDatabase(silo, 'delete from quickscale.placement')
    await fence(`insert into quickscale.placement values ($1, 1, 'active', 'app')`)
    const named = findings.map(({ check, subject }) => `${check} ${subject}`)
    expect(named).toContain(`fence-missing ${ownId}`)
    expect(named).toContain('fence-unknown 00000000-0000-7000-8000-000000000000')
  })
})

test('says which database it could not examine, and goes on', async () => {
  await installation.inCatalog(`update catalog.database set name = name || '_gone' where name = $1`, [silo])
  const { ok, findings, databases } = await installation.tenancy.doctor()
  await installation.inCatalog('update catalog.database set name = $1 where name = $2', [
    silo,
    `${silo}_gone`,
  ])
  expect({ ok, databases }).toEqual({ ok: false, databases: 3 })
  expect(findings.filter(({ level }) => level === 'error').map(({ check, where }) => [check, where])).toEqual(
    [['database-unreachable', `${silo}_gone`]],
  )
})

test('knows no check but its own', () => {
  expect(() => toFinding('here', { check: 'weather', subject: '', detail: '' })).toThrow('weather')
})
