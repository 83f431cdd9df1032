import { sql } from 'kysely'
import { z } from 'zod'
import * as api from '../../api/blog.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import { type Database, found, listResource } from '../../http/resource.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import type { Services } from '../module.ts'
import { memberName } from '../teams/index.ts'
import { writeFeed } from './feed.ts'
import { renderMarkdown } from './markdown.ts'
import { categoryName, isPublished, postTagNames, withExcerpt } from './posts.ts'

/** Entries of a feed. */
const FEED_ITEMS = 20

export interface PublicOptions {
  readonly feedTitle: string
  readonly siteUrl: string | null
}

/** The profile's name if there is one, else the member's. */
const author = sql<string | null>`coalesce((select author_profiles.name from author_profiles
  where author_profiles.id = posts.author_profile_id), ${memberName('posts.author_id')})`

function selectPublished(db: Database) {
  return db
    .selectFrom('posts')
    .select([
      'id',
      'title',
      'slug',
      'content',
      'excerpt',
      'featured_image_id',
      sql<string | null>`coalesce(posts.featured_image_alt, (select media.alt from media
        where media.id = posts.featured_image_id))`.as('featured_image_alt'),
      author.as('author'),
      sql<string | null>`(select author_profiles.bio from author_profiles
        where author_profiles.id = posts.author_profile_id)`.as('author_bio'),
      categoryName.as('category'),
      postTagNames.as('tag_names'),
      sql<Date>`posts.published_date`.as('published_date'),
    ])
    .where(isPublished)
}

/** What everybody may read: posts that are published, never a draft. */
export function publicRoutes(
  { cursors, baseUrl }: Pick<Services, 'cursors' | 'baseUrl'>,
  options: PublicOptions,
): readonly Route[] {
  const route = { method: 'GET', access: 'anyone' } as const
  return [
    tenantRoute({
      ...route,
      path: '/blog/posts',
      summary: 'A page of what is published, the newest first',
      query: api.articleList,
      answers: { 200: api.articlePage },
      handle: (input) => listResource(published, cursors, input),
    }),
    tenantRoute({
      ...route,
      path: '/blog/posts/:post_slug',
      summary: 'A published post, rendered',
      params: api.articleParameters,
      answers: { 200: api.article },
      handle: async ({ db, params }) => {
        const query = selectPublished(db).where('slug', '=', params.post_slug)
        const post = found('posts', await query.executeTakeFirst())
        return { ...withExcerpt(post), html: renderMarkdown(post.content) }
      },
    }),
    tenantRoute({
      ...route,
      path: '/blog/feed.xml',
      summary: 'What was published last, as RSS 2.0',
      answers: { 200: z.string() },
      handle: async ({ db, tenant, reply }) => {
        const home = options.siteUrl?.replaceAll(':tenant', encodeURIComponent(tenant.key))
        const link = home ?? `${baseUrl}/t/${encodeURIComponent(tenant.key)}/blog`
        reply.type('application/rss+xml; charset=utf-8')
        return await readFeed(db, { title: options.feedTitle, link })
      },
    }),
  ]
}

const published = {
  name: 'blog/posts',
  sorts: { published_date: { column: 'posts.published_date', order: 'desc' } },
  readPage: async (db: Database, request: PageRequest, search: string | undefined) => {
    let query = selectPublished(db)
    if (search !== undefined) query = query.where(contains([sql.ref('title'), sql.ref('content')], search))
    const page = await readPage(db, query, 'posts.id', request)
    return { ...page, rows: page.rows.map(withExcerpt) }
  },
} as const

async function readFeed(db: Database, { title, link }: { readonly title: string; readonly link: string }) {
  const rows = await selectPublished(db)
    .orderBy('published_date', 'desc')
    .orderBy('id', 'desc')
    .limit(FEED_ITEMS)
    .execute()
  const items = rows.map(withExcerpt).map((post) => ({ ...post, link: `${link}/posts/${post.slug}` }))
  return writeFeed({ title, link, description: `What was published last in ${title}` }, items)
}
