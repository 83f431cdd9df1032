import type { Strategy } from '@quickscale/tenancy'
import type { InjectOptions } from 'fastify'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { limits } from '../src/limits.ts'
import { writeFeed } from '../src/modules/blog/feed.ts'
import { excerptOf, renderMarkdown, slugOf } from '../src/modules/blog/markdown.ts'
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

const titles = async (url: string) => (await call('GET', url)).body.items?.map(({ title }) => title)

const author_id = ids.member

describe.each(strategies)('the blog over the %s strategy', (strategy) => {
  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), strategy)
    await fillTenants(installation.tenancy)
  })
  afterAll(() => installation.remove())

  describe('posts', testPosts)
  describe('readers', testReaders)
  describe('pictures', testPictures)
  describe('a program', testPublishing)
})

function testPosts() {
  it('are drafts, are published, and are taken back', async () => {
    const draft = await create('/t/one/posts', {
      title: 'Über Öl & Äpfel!',
      content: '*Oil* and apples',
      author_id,
    })
    expect(draft).toMatchObject({
      slug: 'uber-ol-apfel',
      excerpt: 'Oil and apples',
      status: 'draft',
      published_date: null,
      tag_names: [],
    })
    const url = `/t/one/posts/${draft.id}`
    const published = (await call('PATCH', url, { status: 'published', excerpt: 'Own words' })).body
    expect(published).toMatchObject({ status: 'published', excerpt: 'Own words' })
    const again = (await call('PATCH', url, { status: 'published' })).body
    expect(again.published_date).toBe(published.published_date)
    expect((await call('PATCH', url, { status: 'draft', excerpt: null })).body).toMatchObject({
      published_date: null,
      excerpt: 'Oil and apples',
    })
    const later = (await call('PATCH', url, { published_date: '2999-01-01T00:00:00Z' })).body
    expect(later.status).toBe('draft')
    expect((await call('GET', '/t/one/blog/posts/uber-ol-apfel')).status).toBe(404)
    expect((await call('PATCH', url, { status: 'published' })).body.status).toBe('published')
  })

  it('are refused without a slug that can be, and with two words on when', async () => {
    const untitled = await call('POST', '/t/one/posts', { title: '株式会社', content: 'x', author_id })
    expect([untitled.status, untitled.body.errors]).toMatchObject([400, [{ path: '/slug' }]])
    const both = { title: 'x', content: 'x', author_id, status: 'published', published_date: null }
    expect((await call('POST', '/t/one/posts', both)).status).toBe(400)
    expect((await call('POST', '/t/one/posts', { title: 'x', content: 'x' })).body.errors).toMatchObject([
      { path: '/author_id' },
    ])
  })

  it('are filtered by state, category, author and tags', async () => {
    const category = await create('/t/one/categories', { name: 'Filter', slug: 'filter', description: 'd' })
    const tag = await create('/t/one/blog-tags', { name: 'filter' })
    const post = { content: 'x', author_id, category_id: category.id }
    const { id } = await create('/t/one/posts', { ...post, title: 'Filter A', status: 'published' })
    await create('/t/one/posts', { ...post, title: 'Filter B' })
    await call('PUT', `/t/one/posts/${id}/tags/${tag.id}`)
    const url = `/t/one/posts?sort=title&category_id=${category.id}`
    expect(await titles(url)).toEqual(['Filter A', 'Filter B'])
    expect(await titles(`${url}&status=draft`)).toEqual(['Filter B'])
    expect(await titles(`${url}&status=published&author_id=${author_id}`)).toEqual(['Filter A'])
    expect(await titles(`${url}&tags=${tag.id}`)).toEqual(['Filter A'])
    expect((await call('GET', `/t/one/categories/${category.id}`)).body.post_count).toBe(2)
    for (const filter of [`category_id=${category.id}`, `tags=${tag.id}`, `author_id=${tag.id}`])
      expect((await call('GET', `/t/two/posts?${filter}`)).status).toBe(404)
  })
}

function testReaders() {
  it('see what is published, rendered and harmless, and no draft', async () => {
    const profile = await create('/t/one/author-profiles', { name: 'Pen', bio: 'Writes.' })
    const content = '# Hello\n\n<script>alert(1)</script> [x](javascript:alert(1)) **bold**'
    const values = { title: 'Read me', content, author_id, author_profile_id: profile.id }
    const { id } = await create('/t/one/posts', { ...values, status: 'published' })
    await create('/t/one/posts', { ...values, title: 'Hidden' })
    const read = await call('GET', '/t/one/blog/posts/read-me')
    expect(read.body).toMatchObject({ title: 'Read me', author: 'Pen', author_bio: 'Writes.' })
    expect(read.body.html).toContain('<h1>Hello</h1>')
    expect(read.body.html).not.toMatch(/<script|href="javascript/)
    expect(read.headers.etag).toBeDefined()
    const { items } = (await call('GET', '/t/one/blog/posts?limit=100')).body
    expect(items?.map((item) => item.id)).toContain(id)
    expect(items?.map(({ title }) => title)).not.toContain('Hidden')
    expect(items?.[0]).not.toHaveProperty('content')
    for (const url of [
      '/t/one/blog/posts/hidden',
      '/t/two/blog/posts/read-me',
      '/t/nobody/blog/posts/read-me',
    ])
      expect((await call('GET', url)).status).toBe(404)
  })

  it('get a feed of this tenant, well-formed whatever is in it', async () => {
    await create('/t/one/posts', {
      title: 'A < B & "C" ]]>',
      content: 'x',
      author_id,
      slug: 'feed',
      status: 'published',
    })
    const feed = await call('GET', '/t/one/blog/feed.xml')
    expect([feed.status, feed.type]).toEqual([200, 'application/rss+xml; charset=utf-8'])
    expect(feed.text).toContain('<title>A &lt; B &amp; "C" ]]&gt;</title>')
    expect(feed.text).toContain('/t/one/blog/posts/feed</link>')
    expect(feed.text).not.toContain('Hidden')
    expect((await call('GET', '/t/two/blog/feed.xml')).text).not.toContain('/posts/feed<')
  })
}

function testPublishing() {
  it('publishes in one request, and is told when the slug is taken', async () => {
    await create('/t/one/categories', { name: 'News', slug: 'news' })
    const body = {
      title: 'Shipped',
      content: 'It *works*.',
      category: 'news',
      tags: ['b', 'a', 'b'],
      author_id,
    }
    const made = await call('POST', '/t/one/blog/publish', body)
    expect([made.status, made.body]).toMatchObject([
      201,
      { slug: 'shipped', status: 'published', category_name: 'News', tag_names: ['a', 'b'] },
    ])
    expect(made.headers.location).toBe(`/t/one/posts/${made.body.id}`)
    expect((await call('GET', String(made.headers.location))).body).toEqual(made.body)
    const again = await call('POST', '/t/one/blog/publish', { ...body, tags: ['only now'] })
    expect([again.status, again.body]).toMatchObject([409, { code: 'CONFLICT', errors: [{ path: '/slug' }] }])
    expect((await call('GET', '/t/one/blog-tags?q=only')).body.items).toEqual([])
    const foreign = await call('POST', '/t/two/blog/publish', body)
    expect([foreign.status, foreign.body.errors]).toMatchObject([422, [{ path: '/category' }]])
  })
}

function testPictures() {
  const upload = (
    slug: string,
    payload: Buffer | string,
    type = 'image/png',
    query = 'filename=a.png&alt=Red',
  ) =>
    send(installation.app, {
      method: 'POST',
      url: `/t/${slug}/media?${query}`,
      headers: { 'content-type': type },
      payload,
    })
  const draw = (width: number, height: number) =>
    sharp({ create: { width, height, channels: 3, background: 'red' } })
      .withExif({ IFD0: { Copyright: 'secret place' } })
      .png()
      .toBuffer()

  it('are kept in three sizes, without what they carry along, and shown to everybody', async () => {
    const picture = await draw(1_600, 900)
    expect(picture.includes('secret place')).toBe(true)
    const made = await upload('one', picture)
    expect([made.status, made.body], made.text).toMatchObject([
      201,
      { filename: 'a.png', alt: 'Red', uploaded_by: null },
    ])
    const files: { variant: string; url: string; content_type: string; width: number; height: number }[] =
      Object(made.body).files
    expect(Object.fromEntries(files.map(({ variant, width, height }) => [variant, [width, height]]))).toEqual(
      {
        original: [1_600, 900],
        medium: [800, 450],
        small: [300, 169],
      },
    )
    for (const { url, content_type, width } of files) {
      const shown = await installation.app.inject({ url })
      expect([shown.statusCode, shown.headers['content-type']]).toEqual([200, content_type])
      expect((await sharp(shown.rawPayload).metadata()).width).toBe(width)
      expect(shown.rawPayload.includes('secret place')).toBe(false)
      const again = await installation.app.inject({
        url,
        headers: { 'if-none-match': String(shown.headers.etag) },
      })
      expect(again.statusCode).toBe(304)
    }
    const url = String(made.headers.location)
    for (const path of [url, `/t/one/blog/media/${made.body.id}/small`])
      expect((await call('GET', path.replace('one', 'two'))).status).toBe(404)
    expect((await call('DELETE', url.replace('one', 'two'))).status).toBe(404)
    const post = {
      title: 'Pictured',
      content: 'x',
      author_id,
      status: 'published',
      featured_image_id: made.body.id,
    }
    expect((await call('POST', '/t/two/posts', post)).body.errors).toMatchObject([
      { path: '/featured_image_id' },
    ])
    const { id } = await create('/t/one/posts', post)
    expect((await call('GET', '/t/one/blog/posts/pictured')).body).toMatchObject({
      featured_image_id: made.body.id,
      featured_image_alt: 'Red',
    })
    expect((await call('PATCH', url, { alt: 'Very red' })).body.alt).toBe('Very red')
    expect((await call('GET', '/t/one/media?q=very')).body.items?.map((item) => item.id)).toEqual([
      made.body.id,
    ])
    expect((await call('DELETE', url)).status).toBe(204)
    expect((await call('GET', `/t/one/posts/${id}`)).body.featured_image_id).toBeNull()
  })

  it('are not described or deleted by whoever has seen another description', async () => {
    const { headers } = await upload('one', await draw(10, 10))
    const url = String(headers.location)
    const tag = String((await call('GET', url)).headers.etag)
    const change = (alt: string, wanted: string) =>
      send(installation.app, { method: 'PATCH', url, headers: { 'if-match': wanted }, payload: { alt } })
    expect((await change('First', tag)).status).toBe(200)
    expect((await change('Second', tag)).body.code).toBe('PRECONDITION_FAILED')
    const remove = (wanted: string) =>
      send(installation.app, { method: 'DELETE', url, headers: { 'if-match': wanted } })
    expect((await remove(tag)).status).toBe(412)
    expect((await remove(String((await call('GET', url)).headers.etag))).status).toBe(204)
  })

  it('are refused when they are none, too large, or too many pixels', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
    const picture = await draw(10, 10)
    for (const [status, code, answer] of [
      [422, 'MEDIA_UNREADABLE', await upload('one', svg)],
      [422, 'MEDIA_UNREADABLE', await upload('one', picture.subarray(0, 60))],
      [422, 'MEDIA_UNREADABLE', await upload('one', await draw(9_000, 9_000))],
      [415, 'INVALID_MEDIA_TYPE', await upload('one', svg, 'image/svg+xml')],
      [415, 'INVALID_MEDIA_TYPE', await upload('one', '{}', 'application/json')],
      [413, 'BODY_TOO_LARGE', await upload('one', Buffer.alloc(limits.pictureBytesMax + 1))],
      [400, 'VALIDATION_FAILED', await upload('one', picture, 'image/png', 'alt=x')],
    ] as const) {
      expect([answer.status, answer.body.code]).toEqual([status, code])
    }
    expect((await call('GET', '/t/one/media')).body.items).toEqual([])
  })
}

describe('Markdown', () => {
  it.each([
    ['<img src=x onerror=alert(1)>'],
    ['[a](javascript:alert(1))'],
    ['[a](data:text/html,x)'],
    ['![a](javascript:alert(1))'],
    ['[a](//evil.example)'],
    ['<svg><script>alert(1)</script></svg>'],
    ['<style>body{display:none}</style>'],
    ['[a](&#106;avascript:alert(1))'],
    ['`<script>`'],
  ])('of %s is rendered without anything that runs', (content) => {
    expect(renderMarkdown(content)).not.toMatch(
      /<(script|style|svg|iframe|object)|<[^>]*\s(on\w+=|(href|src)="(javascript|data|\/\/))/i,
    )
  })

  it('keeps headings, lists, tables, links and images', () => {
    const html = renderMarkdown(
      '# T\n\n- [a](https://a.example)\n\n![i](https://a.example/i.png)\n\n|a|\n|-|\n|b|',
    )
    for (const part of [
      '<h1>T</h1>',
      '<li>',
      '<table>',
      'rel="nofollow noopener"',
      '<img src="https://a.example/i.png"',
    ])
      expect(html).toContain(part)
  })

  it('has an excerpt of whole words, without marks', () => {
    expect(excerptOf('# A\n\nb **c** & [d](https://x.example) <e>')).toBe('A b c & d <e>')
    const long = excerptOf('word '.repeat(200))
    expect(long).toMatch(/word…$/)
    expect(long.length).toBeLessThanOrEqual(301)
  })

  it('gives slugs of titles', () => {
    expect(slugOf('  Crème Brûlée, 2 Ways! ')).toBe('creme-brulee-2-ways')
    expect(slugOf('株式会社')).toBe('')
    expect(slugOf(`${'a'.repeat(99)} b`)).toBe('a'.repeat(99))
  })

  it('of control characters makes no broken feed', () => {
    expect(writeFeed({ title: 'a\u0001b', link: 'l', description: 'd' }, [])).toContain('<title>ab</title>')
  })
})
