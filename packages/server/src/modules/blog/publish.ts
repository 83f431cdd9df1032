import { sql } from 'kysely'
import type { z } from 'zod'
import * as api from '../../api/blog.ts'
import { ProblemError } from '../../http/problem-error.ts'
import type { Asker, Database } from '../../http/resource.ts'
import { tenantRoute } from '../../http/route.ts'
import { insertPost } from './posts.ts'

/** One request for programs: post, category and tags. A slug that is taken is 409, and nothing is changed. */
export const publish = tenantRoute({
  method: 'POST',
  path: '/blog/publish',
  summary: 'Publishes a post with its category and tags',
  access: 'member',
  body: api.publication,
  answers: { 201: api.post },
  handle: async ({ inTransaction, body, caller, standing, request, reply }) => {
    const post = await inTransaction((db) => publishPost(db, body, { caller, standing }))
    reply.header('location', request.url.replace(/\/blog\/publish(\?.*)?$/, `/posts/${post.id}`))
    return post
  },
})

async function publishPost(
  db: Database,
  { tags = [], category, published_date, ...values }: z.output<typeof api.publication>,
  by: Asker,
) {
  const category_id = category === undefined ? null : await findCategory(db, category)
  const when = published_date === undefined ? ({ status: 'published' } as const) : { published_date }
  const post = await insertPost(db, { ...values, ...when, category_id }, by)
  const names = [...new Set(tags)].sort()
  if (names.length > 0) await linkTags(db, post.id, names)
  return { ...post, tag_names: names }
}

async function findCategory(db: Database, slug: string): Promise<string> {
  const found = await db.selectFrom('categories').select('id').where('slug', '=', slug).executeTakeFirst()
  if (found !== undefined) return found.id
  throw new ProblemError(422, 'REFERENCE_UNKNOWN', 'category is not a category of this tenant', [
    { in: 'body', path: '/category', message: 'is not a category of this tenant' },
  ])
}

/** @param names in their order, so that two publications do not wait for each other's tags crosswise */
async function linkTags(db: Database, post_id: string, names: readonly string[]): Promise<void> {
  await db
    .insertInto('blog_tags')
    .values(names.map((name) => ({ name })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await sql`insert into post_tags (post_id, tag_id)
    select ${post_id}::uuid, id from blog_tags where name = any(${[...names]}::text[])`.execute(db)
}
