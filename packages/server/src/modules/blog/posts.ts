import { type Expression, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { z } from 'zod'
import * as api from '../../api/blog.ts'
import { chooseAuthor } from '../../http/authorship.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { assertKnown } from '../../http/references.ts'
import { type Asker, type Database, serveResource } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'
import { memberName, memberNameContains } from '../teams/index.ts'
import { excerptOf, slugOf } from './markdown.ts'

/** Whether everybody may read a row of `posts`. */
export const isPublished = sql<boolean>`posts.published_date <= now()`

/** Names of the tags of a row of `posts`. */
export const postTagNames = sql<
  string[]
>`(select coalesce(array_agg(blog_tags.name order by blog_tags.name), '{}')
  from post_tags join blog_tags on blog_tags.id = post_tags.tag_id where post_tags.post_id = posts.id)`

/** The name of the category of a row of `posts`. */
export const categoryName = sql<string | null>`(select categories.name from categories
  where categories.id = posts.category_id)`

const columns = [
  'id',
  'title',
  'slug',
  'content',
  'excerpt',
  sql<'draft' | 'published'>`case when ${isPublished} then 'published' else 'draft' end`.as('status'),
  'author_id',
  memberName('posts.author_id').as('author'),
  'published_date',
  'category_id',
  categoryName.as('category_name'),
  'author_profile_id',
  'featured_image_id',
  'featured_image_alt',
  postTagNames.as('tag_names'),
  'created_at',
  'updated_at',
] as const

type Post = z.output<typeof api.post>
type Creation = z.output<typeof api.postCreate>

/** Gives a post that has no excerpt of its own the beginning of its content. */
export function withExcerpt<Row extends { readonly content: string; readonly excerpt: string | null }>(
  row: Row,
) {
  return { ...row, excerpt: row.excerpt ?? excerptOf(row.content) }
}

async function readPosts(
  db: Database,
  request: PageRequest,
  search: string | undefined,
  { status, category_id, author_id, tags = [] }: z.output<typeof api.postList>,
) {
  let query = db.selectFrom('posts').select(columns)
  if (search !== undefined) query = query.where(matches(search))
  if (status === 'published') query = query.where(isPublished)
  if (status === 'draft') query = query.where(sql<boolean>`(${isPublished}) is not true`)
  if (category_id !== undefined) query = query.where('category_id', '=', category_id)
  if (author_id !== undefined) query = query.where('author_id', '=', author_id)
  if (tags.length > 0) query = query.where(hasTags(tags))
  const page = await readPage(db, query, 'posts.id', request)
  if (page.rows.length === 0) {
    await assertKnown(db, [
      { field: 'category_id', table: 'categories', ids: category_id === undefined ? [] : [category_id] },
      {
        field: 'author_id',
        table: 'member',
        key: 'user_id',
        ids: author_id === undefined ? [] : [author_id],
      },
      { field: 'tags', table: 'blog_tags', ids: tags },
    ])
  }
  return { ...page, rows: page.rows.map(withExcerpt) }
}

function matches(search: string): Expression<SqlBool> {
  return sql<boolean>`(${contains([sql.ref('title'), sql.ref('content')], search)}
    or ${memberNameContains('posts.author_id', search)})`
}

function hasTags(ids: readonly string[]): RawBuilder<boolean> {
  return sql`posts.id in (select post_tags.post_id from post_tags where post_tags.tag_id = any(${[...ids]}::uuid[])
    group by post_tags.post_id having count(*) = ${new Set(ids).size})`
}

/** @throws ProblemError `VALIDATION_FAILED` when no slug can be made of the title */
export async function insertPost(db: Database, values: Creation, by: Asker): Promise<Post> {
  const { status, published_date, slug = slugOf(values.title), author_id, ...rest } = values
  if (slug === '') {
    throw new ProblemError(400, 'VALIDATION_FAILED', 'The body of the request is not acceptable', [
      { in: 'body', path: '/slug', message: 'is required: none can be made of the title' },
    ])
  }
  const row = await db
    .insertInto('posts')
    .values({
      ...rest,
      slug,
      author_id: chooseAuthor(by, author_id, 'author_id'),
      published_date: status === 'published' ? sql<Date>`now()` : (published_date ?? null),
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return withExcerpt(row)
}

export const posts = serveResource({
  name: 'posts',
  one: 'a post',
  item: api.post,
  create: api.postCreate,
  change: api.postChange,
  list: api.postList,
  sorts: {
    published_date: { column: 'posts.published_date', order: 'desc', nullable: true },
    created_at: { column: 'posts.created_at', order: 'desc' },
    title: { column: 'posts.title', order: 'asc' },
  },
  readPage: readPosts,
  find: async (db, id) => {
    const row = await db.selectFrom('posts').select(columns).where('id', '=', id).executeTakeFirst()
    return row && withExcerpt(row)
  },
  insert: insertPost,
  update: async (db, id, { status, ...change }) => {
    // Published already stays published when it was.
    const at =
      status === 'published'
        ? sql<Date>`case when ${isPublished} then posts.published_date else now() end`
        : null
    const row = await db
      .updateTable('posts')
      .set({
        ...change,
        ...(status && { published_date: at }),
        updated_at: sql<Date>`now()`,
      })
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirst()
    return row && withExcerpt(row)
  },
  remove: async (db, id) =>
    (await db.deleteFrom('posts').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})
