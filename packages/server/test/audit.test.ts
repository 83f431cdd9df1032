import type { Strategy } from '@quickscale/tenancy'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { send, sendingTo } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
const SECRET = 'what-nobody-may-find-in-a-log'

let installation: TestInstallation
let owner: TestPerson
let viewer: TestPerson

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true, tenants: [] })
  const { tenancy } = installation
  ;[owner, viewer] = [await makePerson(tenancy, 'Owner'), await makePerson(tenancy, 'Viewer')]
  for (const plan of strategies) {
    await tenancy.tenants.create({ slug: `at-${plan}`, name: plan, plan })
    await join(tenancy, `at-${plan}`, owner, 'owner')
    await join(tenancy, `at-${plan}`, viewer, 'viewer')
  }
  await tenancy.members.deliver()
})
afterAll(() => installation.remove())

const ask = sendingTo(() => installation.app)

/** As the administrator, in the database where the tenant's tables are. */
async function asAdministrator(slug: string, work: (client: pg.Client, schema: string) => Promise<unknown>) {
  const { databaseName, schemaName } = await installation.tenancy.tenants.placement(slug)
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await work(client, schemaName)
  } finally {
    await client.end()
  }
}

const linesOf = async (slug: string, query = '') =>
  (await ask(owner, 'GET', `/t/${slug}/audit-log?limit=100${query}`)).body.items ?? []

describe.each(strategies)('the audit log of a tenant with the %s strategy', (strategy) => {
  const slug = `at-${strategy}`

  it('says who did what to which record, and what was refused', async () => {
    const made = await ask(owner, 'POST', `/t/${slug}/companies`, { name: SECRET })
    const id = String(made.body.id)
    await ask(owner, 'PATCH', `/t/${slug}/companies/${id}`, { name: `${SECRET} again` })
    await ask(owner, 'POST', `/t/${slug}/contacts`, {
      first_name: 'A',
      last_name: 'B',
      email: 'a@b.test',
      company_id: owner.id,
    })
    await ask(viewer, 'DELETE', `/t/${slug}/companies/${id}`)
    await ask(owner, 'DELETE', `/t/${slug}/companies/${id}`)
    await ask(owner, 'PATCH', `/t/${slug}/members/${viewer.id}`, { role: 'viewer' })
    await ask(owner, 'GET', `/t/${slug}/companies`)
    const lines = await linesOf(slug)
    expect(lines).toHaveLength(6)
    const by = { actor: owner.id, credential: 'api-key', impersonator: null, outcome: 'done', code: null }
    expect(lines.toReversed()).toMatchObject([
      { ...by, action: 'POST /companies', entity: id, request_id: made.headers['x-request-id'] },
      { ...by, action: 'PATCH /companies/:id', entity: id },
      { ...by, action: 'POST /contacts', entity: null, outcome: 'refused', code: 'REFERENCE_UNKNOWN' },
      {
        ...by,
        actor: viewer.id,
        action: 'DELETE /companies/:id',
        entity: id,
        outcome: 'refused',
        code: 'ROLE_INSUFFICIENT',
      },
      { ...by, action: 'DELETE /companies/:id', entity: id },
      { ...by, action: 'PATCH /members/:user_id', entity: viewer.id },
    ])
    for (const other of strategies.slice(strategies.indexOf(strategy) + 1))
      expect(await linesOf(`at-${other}`)).toEqual([])
  })

  it('has a line, or nothing has happened', async () => {
    await asAdministrator(slug, (client, schema) =>
      client.query(
        `alter table ${schema}.audit_log add constraint full_disk check (action not like 'POST /tags%')`,
      ),
    )
    const key = { 'idempotency-key': 'unwritten' }
    for (const headers of [{}, key]) {
      const answer = await send(installation.app, {
        method: 'POST',
        url: `/t/${slug}/tags`,
        headers: { ...owner.headers, ...headers },
        payload: { name: 'unwritten' },
      })
      expect(answer.status).toBeGreaterThanOrEqual(400)
    }
    await asAdministrator(slug, (client, schema) =>
      client.query(`alter table ${schema}.audit_log drop constraint full_disk`),
    )
    expect((await ask(owner, 'GET', `/t/${slug}/tags`)).body.items).toEqual([])
    expect((await ask(owner, 'POST', `/t/${slug}/tags`, { name: 'unwritten' })).status).toBe(201)
  })

  it.each([
    "update audit_log set actor = 'somebody else'",
    'delete from audit_log',
    'truncate audit_log',
    'with gone as (delete from audit_log returning id) select count(*) from gone',
    "insert into audit_log select * from audit_log on conflict (id) do update set actor = 'somebody else'",
    "merge into audit_log using (select 1) as one on true when matched then update set actor = 'somebody else'",
    'merge into audit_log using (select 1) as one on true when matched then delete',
    'select id from audit_log for update',
    'alter table audit_log disable trigger all',
    'drop table audit_log',
    'grant delete on audit_log to current_user',
    "select query_to_xml('delete from audit_log', true, false, '')",
  ])('is not changed by %s', async (text) => {
    const tenant = installation.tenancy.tenant(slug)
    const read = async () => (await tenant.query('select * from audit_log order by id')).rows
    const before = await read()
    expect(before.length).toBeGreaterThan(5)
    await expect(tenant.query(text)).rejects.toThrow()
    await expect(tenant.transaction(({ query }) => query(text))).rejects.toThrow()
    expect(await read()).toEqual(before)
  })

  it('goes out whole, in two formats, without what was sent', async () => {
    const lines = await linesOf(slug)
    const warned = vi.spyOn(installation.app.log, 'warn')
    const csv = await ask(owner, 'GET', `/t/${slug}/audit-log.csv`)
    const ndjson = await ask(owner, 'GET', `/t/${slug}/audit-log.ndjson`)
    // Sent once, and not a second time with nothing.
    expect(warned.mock.calls).toEqual([])
    expect([csv.type, ndjson.type]).toEqual(['text/csv; charset=utf-8', 'application/x-ndjson'])
    const parsed = ndjson.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(parsed.toReversed()).toEqual(lines)
    expect(csv.text.trimEnd().split('\n')).toHaveLength(lines.length + 1)
    expect(csv.text).toContain(`"${owner.id}"`)
    for (const text of [csv.text, ndjson.text]) expect(text).not.toContain(SECRET)
    expect(await linesOf(slug, `&q=${viewer.id}`)).toHaveLength(2)
  })
})

it('an audit log moves with its tenant', async () => {
  const before = await linesOf('at-rls')
  await installation.tenancy.moves.start('at-rls', { to: 'schema', copyShare: 1 })
  expect(await linesOf('at-rls')).toEqual(before)
  const tenant = installation.tenancy.tenant('at-rls')
  await expect(tenant.query('delete from audit_log')).rejects.toMatchObject({ code: '42501' })
})

describe('the log of what happens outside of tenants', () => {
  const log = () =>
    installation.tenancy.controlPlane.kysely<{ audit_log: Record<string, unknown> }>('platform')

  it('has each change and each refusal, and who signed in', async () => {
    await ask(owner, 'POST', '/auth/api-keys', { name: SECRET })
    await ask(owner, 'POST', '/organizations', { name: 'Mine', slug: 'mine', plan: 'nowhere' })
    const wrong = { email: owner.email, password: SECRET }
    await send(installation.app, { method: 'POST', url: '/auth/sign-in', payload: wrong })
    const lines = await log()
      .selectFrom('audit_log')
      .selectAll()
      .where('tenant_id', 'is', null)
      .orderBy('at')
      .orderBy('id')
      .execute()
    expect(lines).toMatchObject([
      {
        actor: owner.id,
        credential: 'api-key',
        action: 'POST /auth/api-keys',
        outcome: 'refused',
        code: 'SESSION_REQUIRED',
      },
      { actor: owner.id, action: 'POST /organizations', outcome: 'refused', code: 'PLAN_NOT_OFFERED' },
      { actor: null, action: 'POST /auth/sign-in', outcome: 'refused' },
    ])
    expect(JSON.stringify(lines)).not.toContain(SECRET)
    expect(JSON.stringify(lines)).not.toContain(owner.email)
  })

  it('is not changed, even by the administrator’s statements', async () => {
    for (const text of [
      'update platform.audit_log set actor = null',
      'delete from platform.audit_log',
      'truncate platform.audit_log',
    ])
      await expect(sql.raw(text).execute(log())).rejects.toMatchObject({ code: '42501' })
  })
})
