import { sql } from 'kysely'
import { idParameters, linkParameters, tag, tagCreate, tagList, tagsOf } from '../api/index.ts'
import { readPage } from './page.ts'
import { ProblemError } from './problem-error.ts'
import { type Database, serveResource } from './resource.ts'
import { type Route, tenantRoute } from './route.ts'
import { contains } from './search.ts'

/** A table of tags. */
type TagTableName = 'tags' | 'blog_tags'

/** What has tags: its path segment, and the table that links it to them. */
interface Tagged {
  readonly name: string
  /** One of them, in words: `a contact`. */
  readonly one: string
  readonly links: string
  /** The column of `links` that names the tagged record. */
  readonly owner: string
  readonly tags: TagTableName
}

const columns = ['id', 'name', 'created_at'] as const
interface TagRow {
  id: string
  name: string
  created_at: Date
}

/** Serves the tags themselves: list, get, create, rename, delete. */
export function serveTags({ name, one }: { name: string; one: string }, table: TagTableName) {
  return serveResource<TagRow, { name: string }, { name: string }>({
    name,
    one,
    item: tag,
    create: tagCreate,
    change: tagCreate,
    list: tagList,
    sorts: {
      name: { column: `${table}.name`, order: 'asc' },
      created_at: { column: `${table}.created_at`, order: 'desc' },
    },
    readPage: (db, request, search) => {
      let query = db.selectFrom(table).select(columns)
      if (search !== undefined) query = query.where(contains([sql.ref('name')], search))
      return readPage(db, query, `${table}.id`, request)
    },
    find: (db, id) => db.selectFrom(table).select(columns).where('id', '=', id).executeTakeFirst(),
    insert: (db, values) => db.insertInto(table).values(values).returning(columns).executeTakeFirstOrThrow(),
    update: (db, id, change) =>
      db.updateTable(table).set(change).where('id', '=', id).returning(columns).executeTakeFirst(),
    remove: async (db, id) =>
      (await db.deleteFrom(table).where('id', '=', id).executeTakeFirst()).numDeletedRows > 0n,
  })
}

/** Serves which tags a record has: list, put, delete. A tag of another tenant is no tag at all: its key is not here. */
export function serveTagsOf(tagged: Tagged): readonly Route[] {
  const many = `/${tagged.name}/:id/tags`
  const addressed = {
    path: `${many}/:tag_id`,
    access: 'member',
    params: linkParameters,
    answers: { 204: null },
  } as const
  return [
    tenantRoute({
      method: 'GET',
      path: many,
      summary: `The tags of ${tagged.one}`,
      access: 'viewer',
      params: idParameters,
      answers: { 200: tagsOf },
      handle: async ({ db, params }) => ({ items: await readTagsOf(db, tagged, params.id) }),
    }),
    tenantRoute({
      ...addressed,
      method: 'PUT',
      summary: `Puts a tag on ${tagged.one}`,
      handle: ({ db, params }) => addTag(db, tagged, params),
    }),
    tenantRoute({
      ...addressed,
      method: 'DELETE',
      summary: `Takes a tag off ${tagged.one}`,
      handle: async ({ db, params }) => {
        if (await removeTag(db, tagged, params)) return
        throw new ProblemError(404, 'NOT_FOUND', `No such tag on this record in ${tagged.name}`)
      },
    }),
  ]
}

async function readTagsOf(db: Database, { links, owner, tags }: Tagged, id: string): Promise<TagRow[]> {
  const linked = sql<string>`(select tag_id from ${sql.table(links)} where ${sql.ref(owner)} = ${id})`
  return await db.selectFrom(tags).select(columns).where('id', 'in', linked).orderBy('name').execute()
}

async function addTag(
  db: Database,
  { links, owner }: Tagged,
  link: { readonly id: string; readonly tag_id: string },
): Promise<void> {
  await sql`insert into ${sql.table(links)} (${sql.ref(owner)}, tag_id) values (${link.id}, ${link.tag_id})
            on conflict do nothing`.execute(db)
}

async function removeTag(
  db: Database,
  { links, owner }: Tagged,
  link: { readonly id: string; readonly tag_id: string },
): Promise<boolean> {
  const { numAffectedRows } = await sql`delete from ${sql.table(links)}
    where ${sql.ref(owner)} = ${link.id} and tag_id = ${link.tag_id}`.execute(db)
  return (numAffectedRows ?? 0n) > 0n
}
