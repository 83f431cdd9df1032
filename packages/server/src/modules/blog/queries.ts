import { type Insertable, sql, type Updateable } from 'kysely'
import { type PageRequest, readPage } from '../../http/page.ts'
import type { Database } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'
import { memberName, memberNameContains } from '../teams/index.ts'
import type { PostTable } from './tables.ts'

const postColumns = [
  'id',
  'title',
  'slug',
  'content',
  'author_id',
  memberName('posts.author_id').as('author'),
  'published_date',
  'category_id',
  'author_profile_id',
  'created_at',
] as const

export function readPosts(db: Database, request: PageRequest, search: string | undefined) {
  let query = db.selectFrom('posts').select(postColumns)
  if (search !== undefined) {
    query = query.where((eb) =>
      eb.or([
        contains([sql.ref('title'), sql.ref('content')], search),
        memberNameContains('posts.author_id', search),
      ]),
    )
  }
  return readPage(db, query, 'posts.id', request)
}

export function findPost(db: Database, id: string) {
  return db.selectFrom('posts').select(postColumns).where('id', '=', id).executeTakeFirst()
}

export function insertPost(db: Database, values: Insertable<PostTable>) {
  return db.insertInto('posts').values(values).returning(postColumns).executeTakeFirstOrThrow()
}

export function updatePost(db: Database, id: string, change: Updateable<PostTable>) {
  return db.updateTable('posts').set(change).where('id', '=', id).returning(postColumns).executeTakeFirst()
}

/** @returns whether there was such a post */
export async function removePost(db: Database, id: string): Promise<boolean> {
  const { numDeletedRows } = await db.deleteFrom('posts').where('id', '=', id).executeTakeFirst()
  return numDeletedRows > 0n
}
