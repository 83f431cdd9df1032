import { readdir, readFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Strategy } from '@quickscale/tenancy'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { send, sendingTo } from './support/client.ts'
import { type DnsServer, startDnsServer } from './support/dns-server.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { waitForAdvisoryLock } from './support/locks.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation
let dns: DnsServer
let ann: TestPerson
let ben: TestPerson
let eve: TestPerson

beforeAll(async () => {
  dns = await startDnsServer()
  installation = await installApplication(inject('databaseUrl'), 'rls', {
    closed: true,
    teams: { plans: strategies, defaultPlan: 'rls', organizationsMax: 8, dnsServers: [dns.address] },
  })
  const { tenancy } = installation
  ;[ann, ben, eve] = [
    await makePerson(tenancy, 'Ann'),
    await makePerson(tenancy, 'Ben'),
    await makePerson(tenancy, 'Eve'),
  ]
})
afterAll(async () => {
  await installation.remove()
  await dns.close()
})

const ask = sendingTo(() => installation.app)

/** Asks until the organization is active, as a page would. */
async function untilActive(who: TestPerson, id: unknown): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const { body } = await ask(who, 'GET', `/organizations/${id}`)
    if (body.state === 'active') return
    expect(body.state).toBe('provisioning')
    await sleep(50)
  }
  expect.unreachable('the organization does not become active')
}

async function invitationFor({ email }: TestPerson): Promise<string> {
  const names = (await readdir(installation.outbox)).sort()
  const mails = await Promise.all(names.map((name) => readFile(joinPath(installation.outbox, name), 'utf8')))
  const mail = mails.filter((each) => each.includes(`To: ${email}\n`)).at(-1) ?? ''
  return /token=(\S+)/.exec(mail)?.[1] ?? ''
}

describe.each(strategies)('an organization on a plan with the %s strategy', (plan) => {
  const slug = `org-${plan}`

  it('is its maker’s at once, and can be worked in when it is active', async () => {
    const made = await ask(ann, 'POST', '/organizations', { name: 'Org', slug, plan })
    expect([made.status, made.body.state]).toEqual(plan === 'rls' ? [201, 'active'] : [202, 'provisioning'])
    expect(made.headers.location).toBe(`/organizations/${made.body.id}`)
    expect(made.body).toMatchObject({ slug, plan, role: 'owner', parent_id: null })
    expect((await ask(eve, 'GET', `/organizations/${made.body.id}`)).status).toBe(404)
    await untilActive(ann, made.body.id)
    const post = { title: 'First', slug: 'first', author_id: ann.id }
    await installation.tenancy.members.deliver()
    expect((await ask(ann, 'POST', `/teams/${made.body.id}/posts`, post)).status).toBe(201)
    const again = await ask(eve, 'POST', '/organizations', { name: 'Org', slug, plan })
    expect([again.status, again.body.code]).toEqual([409, 'TENANT_EXISTS'])
  })

  it('takes members in by mail, changes what they are, and takes them out', async () => {
    const invite = { email: ben.email.toUpperCase(), role: 'member' }
    expect((await ask(ann, 'POST', `/t/${slug}/invitations`, invite)).status).toBe(201)
    const token = await invitationFor(ben)
    expect((await ask(eve, 'POST', '/invitations/accept', { token })).body.code).toBe('EMAIL_DIFFERS')
    expect((await ask(ben, 'GET', `/t/${slug}/posts`)).status).toBe(404)
    const accepted = await ask(ben, 'POST', '/invitations/accept', { token })
    expect(accepted.body).toMatchObject({ slug, role: 'member' })
    expect((await ask(ben, 'POST', '/invitations/accept', { token })).body.code).toBe('INVITATION_INVALID')
    expect((await ask(ben, 'POST', `/t/${slug}/invitations`, invite)).body.code).toBe('ROLE_INSUFFICIENT')
    await installation.tenancy.members.deliver()
    const { body } = await ask(ben, 'GET', `/t/${slug}/members`)
    expect(body.items?.map(({ name, role }) => `${name} ${role}`)).toEqual(['Ann owner', 'Ben member'])
    expect((await ask(ann, 'PATCH', `/t/${slug}/members/${ben.id}`, { role: 'viewer' })).status).toBe(204)
    const refused = await ask(ben, 'POST', `/t/${slug}/companies`, { name: 'x' })
    expect(refused.body.code).toBe('ROLE_INSUFFICIENT')
    expect((await ask(ann, 'DELETE', `/t/${slug}/members/${ben.id}`)).status).toBe(204)
    expect((await ask(ben, 'GET', `/t/${slug}/posts`)).status).toBe(404)
  })

  it('has an owner at any moment, whoever leaves', async () => {
    await join(installation.tenancy, slug, ben, 'admin')
    for (const [who, method, path, payload] of [
      [ann, 'POST', 'organization/leave', {}],
      [ann, 'DELETE', `members/${ann.id}`, undefined],
      [ann, 'PATCH', `members/${ann.id}`, { role: 'viewer' }],
    ] as const) {
      expect((await ask(who, method, `/t/${slug}/${path}`, payload)).body.code).toBe('LAST_OWNER')
    }
    // An admin makes no owners, and unmakes none.
    for (const [method, id, payload] of [
      ['PATCH', ben.id, { role: 'owner' }],
      ['DELETE', ann.id, undefined],
    ] as const) {
      const answer = await ask(ben, method, `/t/${slug}/members/${id}`, payload)
      expect(answer.body.code).toBe('ROLE_INSUFFICIENT')
    }
    expect((await ask(ben, 'POST', `/t/${slug}/organization/transfer`, { user_id: ben.id })).status).toBe(403)
    expect((await ask(ann, 'POST', `/t/${slug}/organization/transfer`, { user_id: eve.id })).status).toBe(404)
    expect((await ask(ann, 'POST', `/t/${slug}/organization/transfer`, { user_id: ben.id })).status).toBe(204)
    expect((await ask(ann, 'GET', `/t/${slug}/organization`)).body.role).toBe('admin')
    await join(installation.tenancy, slug, ann, 'owner')
    const both = await Promise.all([ann, ben].map((who) => ask(who, 'POST', `/t/${slug}/organization/leave`)))
    expect(both.map(({ status }) => status).sort()).toEqual([204, 409])
  })

  it('is not given to somebody who leaves at the same moment', async () => {
    const { tenancy } = installation
    await join(tenancy, slug, ann, 'owner')
    await join(tenancy, slug, ben, 'member')
    const { id } = await tenancy.tenants.get(slug)
    const lock = sql`select pg_advisory_xact_lock(hashtextextended('owners ' || ${id}::text, 0))`
    const given = await tenancy.controlPlane
      .kysely('teams')
      .transaction()
      .execute(async (transaction) => {
        await lock.execute(transaction)
        const giving = ask(ann, 'POST', `/t/${slug}/organization/transfer`, { user_id: ben.id })
        await waitForAdvisoryLock(transaction)
        await tenancy.members.deactivate(slug, ben.id)
        return { giving }
      })
    expect((await given.giving).body.code).toBe('NOT_FOUND')
    expect(await tenancy.members.find(slug, ben.id)).toMatchObject({ active: false, role: 'member' })
  })
})

describe('organizations', () => {
  it('of somebody are listed for them, and for nobody else', async () => {
    await ask(eve, 'POST', '/organizations', { name: 'Eve', slug: 'of-eve' })
    const { body } = await ask(eve, 'GET', '/organizations')
    expect(body.items?.map(({ slug, role }) => [slug, role])).toEqual([['of-eve', 'owner']])
    expect((await ask(ann, 'GET', '/organizations')).text).not.toContain('of-eve')
  })

  it('can be renamed, and are found under both kinds of path', async () => {
    const renamed = await ask(eve, 'PATCH', '/t/of-eve/organization', { slug: 'eve-inc', name: 'Eve Inc.' })
    expect(renamed.body).toMatchObject({ slug: 'eve-inc', name: 'Eve Inc.' })
    for (const url of ['/t/eve-inc/organization', `/teams/${renamed.body.id}/organization`])
      expect((await ask(eve, 'GET', url)).body.name).toBe('Eve Inc.')
  })

  it('are changed by one of two who both saw them as they were, and by nobody who saw them before', async () => {
    const url = '/t/eve-inc/organization'
    const tag = String((await ask(eve, 'GET', url)).headers.etag)
    const change = (name: string, match: string) =>
      ask({ headers: { ...eve.headers, 'if-match': match } }, 'PATCH', url, { name })
    const both = await Promise.all([change('A', tag), change('B', tag)])
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412])
    const { body, headers } = await ask(eve, 'GET', url)
    expect(body).toEqual(both.find(({ status }) => status === 200)?.body)
    expect((await change('C', tag)).body.code).toBe('PRECONDITION_FAILED')
    expect((await change('Eve Inc.', String(headers.etag))).status).toBe(200)
  })

  it('below another one are its admins’ too; those of below are nobody above', async () => {
    const child = { name: 'Branch', slug: 'eve-branch', parent: 'eve-inc' }
    expect((await ask(ann, 'POST', '/organizations', child)).status).toBe(404)
    expect((await ask(eve, 'POST', '/organizations', child)).status).toBe(201)
    const { tenancy } = installation
    await join(tenancy, 'eve-branch', ben, 'owner')
    await join(tenancy, 'eve-inc', ann, 'admin')
    expect((await ask(ann, 'POST', '/t/eve-branch/companies', { name: 'By the parent' })).status).toBe(201)
    await join(tenancy, 'eve-inc', ann, 'member')
    expect((await ask(ann, 'GET', '/t/eve-branch/companies')).status).toBe(404)
    expect((await ask(ben, 'GET', '/t/eve-inc/companies')).status).toBe(404)
  })

  it('are made on plans that are offered, and not without end', async () => {
    const wanted = { name: 'x', slug: 'too-many' }
    expect((await ask(eve, 'POST', '/organizations', { ...wanted, plan: 'only' })).body.code).toBe(
      'PLAN_NOT_OFFERED',
    )
    for (let index = 0; index < 6; index += 1)
      await ask(eve, 'POST', '/organizations', { name: 'x', slug: `many-${index}` })
    expect((await ask(eve, 'POST', '/organizations', wanted)).body.code).toBe('TOO_MANY_ORGANIZATIONS')
  })
})

describe('a host name', () => {
  const host = 'crm.eve.example'
  const visit = (who: TestPerson, at = host) =>
    send(installation.app, { url: '/organization', headers: { ...who.headers, host: at } })

  it('leads to whoever shows its token in the DNS, and to nobody before', async () => {
    const claimed = await ask(eve, 'POST', '/t/eve-inc/domains', { host: 'CRM.Eve.example' })
    expect(claimed.body).toMatchObject({ host, record: `_quickscale.${host}`, verified_at: null })
    const verify = (who: TestPerson, slug: string) =>
      ask(who, 'POST', `/t/${slug}/domains/${host}/verification`)
    expect((await verify(eve, 'eve-inc')).body.code).toBe('DOMAIN_UNVERIFIED')
    expect((await visit(eve)).body.code).toBe('TENANT_MISSING')
    dns.records.set(`_quickscale.${host}`, String(claimed.body.value))
    expect((await verify(eve, 'eve-inc')).body.verified_at).not.toBeNull()
    expect((await visit(eve, `${host}:8080`)).body.slug).toBe('eve-inc')
    expect((await visit(ben)).status).toBe(404)
    const both = { ...eve.headers, host, 'x-tenant': 'many-0' }
    expect((await send(installation.app, { url: '/organization', headers: both })).body.code).toBe(
      'TENANT_AMBIGUOUS',
    )
    // Somebody else may claim it, and has it once the DNS says so.
    const sold = await ask(eve, 'POST', '/t/many-0/domains', { host })
    expect((await verify(eve, 'many-0')).body.code).toBe('DOMAIN_UNVERIFIED')
    expect((await visit(eve)).body.slug).toBe('eve-inc')
    dns.records.set(`_quickscale.${host}`, String(sold.body.value))
    await verify(eve, 'many-0')
    expect((await visit(eve)).body.slug).toBe('many-0')
    expect((await ask(eve, 'DELETE', `/t/many-0/domains/${host}`)).status).toBe(204)
    expect((await visit(eve)).body.code).toBe('TENANT_MISSING')
  })

  it.each(['localhost', '127.0.0.1', 'a b.example', 'x.example/..', '-a.example', ''])(
    'cannot be %j',
    async (name) => {
      expect((await ask(eve, 'POST', '/t/eve-inc/domains', { host: name })).status).toBe(400)
    },
  )
})

describe('a request that names no organization', () => {
  it('is about the header’s, or the credential’s', async () => {
    const named = { ...eve.headers, 'x-tenant': 'eve-inc' }
    expect((await send(installation.app, { url: '/organization', headers: named })).body.slug).toBe('eve-inc')
    const foreign = { ...ben.headers, 'x-tenant': 'eve-inc' }
    expect((await send(installation.app, { url: '/organization', headers: foreign })).status).toBe(404)
    expect((await ask(eve, 'GET', '/organization')).body.code).toBe('TENANT_MISSING')
  })
})
