import type { Strategy } from '@quickscale/tenancy'
import { assertIsolated } from '@quickscale/tenancy/testing'
import type { InjectOptions } from 'fastify'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { annotate } from '../src/demo/annotations.ts'
import { generateData } from '../src/demo/generator.ts'
import { provisionTenant } from '../src/demo/provision.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { fillTenants, ids } from './support/two-tenants.ts'

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

let installation: TestInstallation

const call = (method: NonNullable<InjectOptions['method']>, url: string, payload?: object) =>
  send(installation.app, payload === undefined ? { method, url } : { method, url, payload })

const create = async (url: string, payload: object) => {
  const created = await call('POST', url, payload)
  expect(created.status, created.text).toBe(201)
  return created.body
}

/** Begins work while a contact is locked, and lets it go on once so many sessions wait. */
async function whileLocked<T>(slug: string, contact: string, waiting: number, begin: () => T): Promise<T> {
  const { databaseName, schemaName } = await installation.tenancy.tenants.placement(slug)
  const url = new URL(inject('databaseUrl'))
  url.pathname = `/${databaseName}`
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  try {
    await client.query('begin')
    await client.query(`select from ${schemaName}.contacts where id = $1 for update`, [contact])
    const begun = begin()
    await vi.waitUntil(
      async () => {
        // Within a transaction the view shows what it has shown before.
        await client.query('select pg_stat_clear_snapshot()')
        const { rowCount } = await client.query(
          "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        )
        return rowCount === waiting
      },
      { timeout: 30_000 },
    )
    await client.query('commit')
    return begun
  } finally {
    await client.end()
  }
}

describe.each(strategies)('tags, notes, categories and authors over the %s strategy', (strategy) => {
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), strategy)
    await fillTenants(installation.tenancy)
  })
  afterAll(() => installation.remove())

  it.each([
    ['tags', { name: 'Key account' }, { name: 'Partner' }],
    ['blog-tags', { name: 'News' }, { name: 'Opinion' }],
    ['categories', { name: 'Craft', slug: 'craft' }, { name: 'Crafts' }],
    ['author-profiles', { name: 'Ann', bio: 'Writes.' }, { bio: '' }],
    [`contacts/${ids.contact}/notes`, { author_id: ids.member, body: 'Called.' }, { body: 'Called twice.' }],
    [`deals/${ids.deal}/notes`, { author_id: ids.member, body: 'Won?' }, { body: 'Won!' }],
  ])('creates, lists, changes and deletes %s, for this tenant only', async (name, values, change) => {
    const created = await create(`/t/one/${name}`, values)
    expect(created).toMatchObject(values)
    const url = `/t/one/${name}/${created.id}`
    expect((await call('GET', url)).body).toEqual(created)
    expect((await call('GET', `/t/one/${name}`)).body.items).toContainEqual(created)
    expect((await call('GET', `/t/two/${name}/${created.id}`)).status).toBe(404)
    expect((await call('PATCH', `/t/two/${name}/${created.id}`, change)).status).toBe(404)
    expect((await call('DELETE', `/t/two/${name}/${created.id}`)).status).toBe(404)
    expect((await call('PATCH', url, change)).body).toEqual({ ...created, ...change })
    expect((await call('DELETE', url)).status).toBe(204)
    expect((await call('GET', url)).status).toBe(404)
  })

  it.each([
    ['contacts', ids.contact, 'tags'],
    ['deals', ids.deal, 'tags'],
    ['posts', ids.post, 'blog-tags'],
  ])('puts tags on %s and takes them off, once however often it is asked', async (name, id, tags) => {
    const tag = await create(`/t/one/${tags}`, { name: `On ${name}` })
    const url = `/t/one/${name}/${id}/tags`
    for (const _again of [1, 2]) expect((await call('PUT', `${url}/${tag.id}`)).status).toBe(204)
    expect((await call('GET', url)).body.items).toEqual([tag])
    expect((await call('GET', `/t/two/${name}/${id}/tags`)).body.items).toEqual([])
    // The record is there under the same id, the tag is another tenant's.
    expect((await call('PUT', `/t/two/${name}/${id}/tags/${tag.id}`)).status).toBe(422)
    expect((await call('DELETE', `/t/two/${name}/${id}/tags/${tag.id}`)).status).toBe(404)
    expect((await call('DELETE', `${url}/${tag.id}`)).status).toBe(204)
    expect((await call('DELETE', `${url}/${tag.id}`)).status).toBe(404)
  })

  it('shows the notes on a record, newest first, and lets them go with it', async () => {
    const { id } = await create('/t/one/contacts', {
      first_name: 'A',
      last_name: 'B',
      email: 'a@b.example',
      company_id: (await create('/t/one/companies', { name: 'Short lived' })).id,
    })
    const url = `/t/one/contacts/${id}`
    const note = (body: string) => create(`${url}/notes`, { author_id: ids.member, body })
    const lastContacted = async () => (await call('GET', url)).body.last_contacted_at
    expect(await lastContacted()).toBeNull()
    const first = await note('first')
    const second = await note('second')
    const page = (await call('GET', `${url}/notes?limit=1`)).body
    const rest = (await call('GET', `${url}/notes?limit=1&cursor=${page.next}`)).body
    expect([page.items, rest.items, rest.next]).toEqual([[second], [first], null])
    expect((await call('GET', `/t/one/contacts/${ids.contact}/notes?cursor=${page.next}`)).body.code).toBe(
      'CURSOR_INVALID',
    )
    expect((await call('GET', '/t/one/contact-notes?limit=2')).body.items).toEqual([second, first])
    expect(await lastContacted()).toBe(second.created_at)
    // Both have begun before either has ended.
    const removals = await whileLocked('one', String(id), 2, () =>
      [first, second].map((gone) => call('DELETE', `${url}/notes/${gone.id}`)),
    )
    expect((await Promise.all(removals)).map(({ status }) => status)).toEqual([204, 204])
    expect(await lastContacted()).toBeNull()
    for (const answer of [
      await call('POST', `${url.replace('one', 'two')}/notes`, { author_id: ids.member, body: 'x' }),
      await call('GET', `${url.replace('one', 'two')}/notes`),
      await call('GET', `/t/one/contacts/${ids.contact}/notes/${first.id}`),
    ]) {
      expect(answer.status).toBe(404)
    }
    const { id: kept } = await note('third')
    await call('DELETE', `/t/one/companies/${(await call('GET', url)).body.company_id}`)
    expect((await call('GET', `${url}/notes/${kept}`)).status).toBe(404)
  })

  it('shows who owns and wrote what by the name they have now, and refuses who is no member', async () => {
    const { members } = installation.tenancy
    const userId = '00000000-0000-4000-8000-000000000006'
    const notes = `/t/one/contacts/${ids.contact}/notes`
    const note = { author_id: userId, body: 'Called.' }
    const unknown = await call('POST', notes, note)
    expect([unknown.status, unknown.body.errors]).toMatchObject([422, [{ path: '/author_id' }]])
    for (const slug of ['one', 'two'])
      await members.put(slug, { userId, name: `Bo of ${slug}`, role: 'member' })
    await members.deliver()
    const { id } = await create(notes, note)
    const post = await create('/t/one/posts', {
      title: 'By Bo',
      slug: 'by-bo',
      content: 'x',
      author_id: userId,
    })
    await call('PATCH', `/t/one/deals/${ids.deal}`, { owner_id: userId })
    const profile = await create('/t/one/author-profiles', { member_id: userId, bio: 'Writes.' })
    const nobody = { member_id: '00000000-0000-4000-8000-000000000009' }
    expect((await call('POST', '/t/one/author-profiles', nobody)).status).toBe(422)
    expect((await call('POST', '/t/one/author-profiles', { bio: 'Of nobody.' })).status).toBe(400)
    const names = async () => [
      (await call('GET', `${notes}/${id}`)).body.author,
      (await call('GET', `/t/one/posts/${post.id}`)).body.author,
      (await call('GET', `/t/one/deals/${ids.deal}`)).body.owner,
      (await call('GET', `/t/one/author-profiles/${profile.id}`)).body.name,
    ]
    expect(await names()).toEqual(Array(4).fill('Bo of one'))
    await call('PATCH', `/t/one/author-profiles/${profile.id}`, { name: 'Bo of one, by hand' })
    expect((await call('GET', '/t/one/deals?q=bo%20of')).body.items).toHaveLength(1)
    expect((await call('GET', '/t/two/deals?q=bo%20of')).body.items).toEqual([])
    expect((await call('GET', '/t/two/members')).body.items).toContainEqual({
      user_id: userId,
      name: 'Bo of two',
      email: null,
      role: 'member',
      active: true,
    })
    await members.anonymise(userId)
    await members.deliver()
    expect(await names()).toEqual(Array(4).fill('Former member'))
    expect((await call('GET', '/t/one/author-profiles')).text).not.toContain('Bo of')
    expect((await call('GET', '/t/two/members')).text).not.toContain('Bo of')
    await call('PATCH', `/t/one/deals/${ids.deal}`, { owner_id: ids.member })
  })

  it('leaves a post without category and author when those are deleted', async () => {
    const category = await create('/t/one/categories', { name: 'Gone soon', slug: 'gone-soon' })
    const author = await create('/t/one/author-profiles', { name: 'Gone soon' })
    const url = `/t/one/posts/${ids.post}`
    const set = { category_id: category.id, author_profile_id: author.id }
    expect((await call('PATCH', url, set)).body).toMatchObject(set)
    expect((await call('PATCH', `/t/two/posts/${ids.post}`, set)).status).toBe(422)
    await call('DELETE', `/t/one/categories/${category.id}`)
    await call('DELETE', `/t/one/author-profiles/${author.id}`)
    expect((await call('GET', url)).body).toMatchObject({ category_id: null, author_profile_id: null })
  })

  it('says which name is taken, and by whom in this tenant only', async () => {
    for (const slug of ['one', 'two']) await create(`/t/${slug}/tags`, { name: 'Taken' })
    const again = await call('POST', '/t/one/tags', { name: 'Taken' })
    expect([again.status, again.text]).toEqual([409, expect.stringContaining('is taken by another tag')])
  })

  it('keeps two tenants with the same generated records apart, in every table', async () => {
    const size = { companies: 3, contacts: 20, deals: 20, posts: 12 }
    const handles = []
    for (const slug of ['twin', 'mirror']) {
      const demo = { slug, name: slug, plan: 'only', size }
      await provisionTenant(installation.tenancy, demo, () => undefined)
      handles.push(installation.tenancy.tenant(slug))
    }
    const [left, right] = handles
    if (left === undefined || right === undefined) throw new Error('two tenants were made')
    // Both get the rows of one of them, ids included.
    await left.query("insert into idempotency_key (actor, key, request) values ('ann', 'k', '\\x00')")
    await left.query(`with made as (insert into media (filename) values ('a.png') returning id)
      insert into media_file (media_id, variant, content_type, width, height, data)
      select id, 'small', 'image/webp', 1, 1, '\\x00' from made`)
    await left.query("insert into job (name, payload) values ('any', '{}')")
    await left.query("insert into job_schedule (name, last_run) values ('any', now())")
    await left.query("insert into usage_event (meter, key, quantity) values ('any', 'k', 1)")
    await left.query("insert into usage_total (meter, period, quantity) values ('any', now(), 1)")
    await left.query(`insert into audit_log (actor, credential, action, request_id, outcome)
      values ('ann', 'session', 'POST /any', gen_random_uuid(), 'done')`)
    const stages = await left.query('select id, name, position from stages')
    await right.transaction(async (transaction) => {
      for (const table of [
        'deals',
        'contacts',
        'companies',
        'posts',
        'tags',
        'categories',
        'author_profiles',
        'blog_tags',
        'stages',
        'member',
      ]) {
        await transaction.query(`delete from ${table}`)
      }
    })
    await right.bulkInsert('stages', ['id', 'name', 'position'], stages.rows.map(Object.values))
    for (const table of [
      'member',
      'companies',
      'contacts',
      'deals',
      'tags',
      'contact_tags',
      'deal_tags',
      'contact_notes',
      'deal_notes',
      'categories',
      'author_profiles',
      'posts',
      'blog_tags',
      'post_tags',
      'idempotency_key',
      'media',
      'media_file',
      'job',
      'job_schedule',
      'usage_event',
      'usage_total',
      'audit_log',
    ]) {
      const { rows, fields } = await left.query(`select * from ${table}`)
      const columns = fields.map(({ name }) => name).filter((name) => name !== 'tenant_id')
      await right.bulkInsert(
        table,
        columns,
        rows.map((row) => columns.map((column) => row[column])),
      )
    }
    const report = await assertIsolated(left, right)
    expect(report.tables).toHaveLength(23)
  })
})

describe('the generator of annotations', () => {
  it('makes the same ones from the same seed, and hangs each on a record', () => {
    const size = { companies: 5, contacts: 20, deals: 20, posts: 10 }
    const data = generateData('a', size, ['00000000-0000-4000-8000-000000000001'])
    const made = annotate('a', data)
    expect(annotate('a', data)).toEqual(made)
    expect(annotate('b', data)).not.toEqual(made)
    const contacts = new Set(data.contacts.map(({ id }) => id))
    expect(made.contactNotes.every(({ contact_id }) => contacts.has(contact_id))).toBe(true)
    expect(made.posts.every(({ author_profile_id, category_id }) => author_profile_id && category_id)).toBe(
      true,
    )
  })
})
