import { type RawBuilder, sql } from 'kysely'
import type { z } from 'zod'
import { idParameters } from '../../api/common.ts'
import * as api from '../../api/media.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { changing, type Database, found, listResource, missing } from '../../http/resource.ts'
import { type InTenant, type Route, tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'
import { assertRoom } from '../room.ts'
import { type Picture, readPicture } from './pictures.ts'

interface File {
  readonly variant: Picture['variant']
  readonly content_type: string
  readonly width: number
  readonly height: number
  readonly bytes: number
}

/** The versions of a picture, the largest first; without their bytes. */
const files: RawBuilder<File[]> = sql`(select json_agg(json_build_object('variant', variant,
    'content_type', content_type, 'width', width, 'height', height, 'bytes', octet_length(data))
    order by octet_length(data) desc)
  from media_file where media_file.media_id = media.id)`

const columns = ['id', 'filename', 'alt', 'uploaded_by', files.as('files'), 'created_at'] as const

/** Pictures: uploaded by members, kept in the tenant's own tables, seen by whoever knows their id. */
export function mediaRoutes(services: Pick<Services, 'cursors' | 'beforeAdding'>): readonly Route[] {
  const { cursors } = services
  const one = { path: '/media/:id', params: idParameters } as const
  return [
    tenantRoute({
      method: 'POST',
      path: '/media',
      summary: 'Keeps a picture; the body is the picture itself',
      access: 'member',
      rate: 'costly',
      bodyTypes: api.pictureTypes,
      bodyBytesMax: limits.pictureBytesMax,
      query: api.mediaUpload,
      answers: { 201: api.media },
      handle: async (input) => {
        await assertRoom(services, input.here().tenantId, 'picture_bytes')
        return await upload(input)
      },
    }),
    tenantRoute({
      method: 'GET',
      path: '/media',
      summary: 'A page of pictures',
      access: 'viewer',
      query: api.mediaList,
      answers: { 200: api.mediaPage },
      handle: (input) => listResource({ ...listed, readPage: reader(input) }, cursors, input),
    }),
    tenantRoute({
      ...one,
      method: 'GET',
      summary: 'What is known of a picture',
      access: 'viewer',
      answers: { 200: api.media },
      handle: async (input) => withUrls(input, found('media', await find(input.db, input.params.id))),
    }),
    tenantRoute({
      ...one,
      method: 'PATCH',
      summary: 'Says what a picture shows',
      access: 'member',
      body: api.mediaChange,
      answers: { 200: api.media },
      handle: (input) =>
        changing(asShown(input), input, async (db) => {
          const query = db.updateTable('media').set(input.body).where('id', '=', input.params.id)
          return withUrls(input, found('media', await query.returning(columns).executeTakeFirst()))
        }),
    }),
    tenantRoute({
      ...one,
      method: 'DELETE',
      summary: 'Deletes a picture; posts that show it show none',
      access: 'member',
      answers: { 204: null },
      handle: (input) =>
        changing(asShown(input), input, async (db) => {
          const query = db.deleteFrom('media').where('id', '=', input.params.id)
          if ((await query.executeTakeFirst()).numDeletedRows === 0n) throw missing('media')
        }),
    }),
    showFile,
  ]
}

const showFile = tenantRoute({
  method: 'GET',
  path: '/blog/media/:id/:variant',
  summary: 'A picture itself',
  access: 'anyone',
  params: api.mediaFileParameters,
  answers: { 200: null },
  handle: async ({ db, params, reply }) => {
    const file = await db
      .selectFrom('media_file')
      .select(['content_type', 'data'])
      .where('media_id', '=', params.id)
      .where('variant', '=', params.variant)
      .executeTakeFirst()
    const { content_type, data } = found('media', file)
    reply.type(content_type).header('cross-origin-resource-policy', 'cross-origin')
    return data
  },
})

async function upload(input: InTenant<unknown, z.output<typeof api.mediaUpload>>) {
  const { request, query, caller, inTransaction, reply } = input
  if (!Buffer.isBuffer(request.body)) {
    throw new ProblemError(415, 'INVALID_MEDIA_TYPE', 'The body is to be a picture, with its content type')
  }
  // Before the transaction: pixels take time, and nobody is to wait for them under a lock.
  const pictures = await readPicture(request.body)
  const made = await inTransaction(async (db) => {
    const { id } = await db
      .insertInto('media')
      .values({ ...query, uploaded_by: caller?.userId ?? null })
      .returning('id')
      .executeTakeFirstOrThrow()
    await db
      .insertInto('media_file')
      .values(pictures.map((picture) => ({ ...picture, media_id: id })))
      .execute()
    return found('media', await find(db, id))
  })
  reply.header('location', `${request.url.split('?', 1)[0]}/${made.id}`)
  return withUrls(input, made)
}

const find = (db: Database, id: string) =>
  db.selectFrom('media').select(columns).where('id', '=', id).executeTakeFirst()

/** The record that an entity tag is of. */
function asShown(input: Pick<InTenant, 'tenant'>) {
  return {
    name: 'media',
    item: api.media,
    find: async (db: Database, id: string) => {
      const row = await find(db, id)
      return row && withUrls(input, row)
    },
  }
}

function withUrls<Row extends { readonly id: string; readonly files: readonly File[] }>(
  { tenant }: Pick<InTenant, 'tenant'>,
  row: Row,
) {
  const base = `/t/${encodeURIComponent(tenant.key)}/blog/media/${row.id}`
  return { ...row, files: row.files.map((file) => ({ ...file, url: `${base}/${file.variant}` })) }
}

const listed = {
  name: 'media',
  sorts: {
    created_at: { column: 'media.created_at', order: 'desc' },
    filename: { column: 'media.filename', order: 'asc' },
  },
} as const

function reader(input: Pick<InTenant, 'tenant'>) {
  return async (db: Database, request: PageRequest, search: string | undefined) => {
    let query = db.selectFrom('media').select(columns)
    if (search !== undefined) query = query.where(contains([sql.ref('filename'), sql.ref('alt')], search))
    const page = await readPage(db, query, 'media.id', request)
    return { ...page, rows: page.rows.map((row) => withUrls(input, row)) }
  }
}

/** Of all pictures, in all their sizes. */
export async function sumPictureBytes(db: Database): Promise<number> {
  const { bytes } = await db
    .selectFrom('media_file')
    .select(sql<number>`coalesce(sum(octet_length(data)), 0)::float8`.as('bytes'))
    .executeTakeFirstOrThrow()
  return bytes
}
