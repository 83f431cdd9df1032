import { sql } from 'kysely'
import * as api from '../../api/blog.ts'
import { readPage } from '../../http/page.ts'
import { serveResource } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'

const categoryColumns = [
  'id',
  'name',
  'slug',
  'description',
  sql<number>`(select count(*)::int from posts where posts.category_id = categories.id)`.as('post_count'),
  'created_at',
] as const
const authorColumns = ['id', 'name', 'member_id', 'bio', 'created_at'] as const

export const categories = serveResource({
  name: 'categories',
  one: 'a category',
  item: api.category,
  create: api.categoryCreate,
  change: api.categoryChange,
  list: api.categoryList,
  sorts: {
    name: { column: 'categories.name', order: 'asc' },
    created_at: { column: 'categories.created_at', order: 'desc' },
  },
  readPage: (db, request, search) => {
    let query = db.selectFrom('categories').select(categoryColumns)
    if (search !== undefined) query = query.where(contains([sql.ref('name'), sql.ref('slug')], search))
    return readPage(db, query, 'categories.id', request)
  },
  find: (db, id) =>
    db.selectFrom('categories').select(categoryColumns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values) =>
    db.insertInto('categories').values(values).returning(categoryColumns).executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('categories')
      .set(change)
      .where('id', '=', id)
      .returning(categoryColumns)
      .executeTakeFirst(),
  remove: async (db, id) =>
    (await db.deleteFrom('categories').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})

export const authorProfiles = serveResource({
  name: 'author-profiles',
  one: 'an author profile',
  item: api.authorProfile,
  create: api.authorProfileCreate,
  change: api.authorProfileChange,
  list: api.authorProfileList,
  sorts: {
    name: { column: 'author_profiles.name', order: 'asc' },
    created_at: { column: 'author_profiles.created_at', order: 'desc' },
  },
  readPage: (db, request, search) => {
    let query = db.selectFrom('author_profiles').select(authorColumns)
    if (search !== undefined) query = query.where(contains([sql.ref('name'), sql.ref('bio')], search))
    return readPage(db, query, 'author_profiles.id', request)
  },
  find: (db, id) =>
    db.selectFrom('author_profiles').select(authorColumns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values) =>
    db.insertInto('author_profiles').values(values).returning(authorColumns).executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('author_profiles')
      .set(change)
      .where('id', '=', id)
      .returning(authorColumns)
      .executeTakeFirst(),
  remove: async (db, id) =>
    (await db.deleteFrom('author_profiles').where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
})
