import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyPluginCallback, FastifyRequest } from 'fastify'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { idParameters, type ListQuery, pageOf } from '../api/index.ts'
import type { CursorCodec } from './cursor.ts'
import type { Page, PageRequest, SortColumn } from './page.ts'
import { ProblemError } from './problem-error.ts'

export type Database = Kysely<TenantTables>

/** One kind of record: its schemas, its orders and its statements. Every statement is one round trip. */
export interface Resource<Item extends { readonly id: string }, Create, Change> {
  /** The path segment: `contacts`. */
  readonly name: string
  readonly item: z.ZodType<Item>
  readonly create: z.ZodType<Create>
  readonly change: z.ZodType<Change>
  readonly list: z.ZodType<ListQuery>
  readonly sorts: Readonly<Record<string, SortColumn>>
  readPage(db: Database, request: PageRequest, search: string | undefined): Promise<Page<Item>>
  find(db: Database, id: string): Promise<Item | undefined>
  insert(db: Database, values: Create): Promise<Item>
  update(db: Database, id: string, change: Change): Promise<Item | undefined>
  /** @returns whether there was such a row */
  remove(db: Database, id: string): Promise<boolean>
}

export interface ResourceOptions {
  readonly cursors: CursorCodec
}

/** Serves a resource: list, get, create, change, delete. */
export function serveResource<Item extends { readonly id: string }, Create, Change>(
  resource: Resource<Item, Create, Change>,
): FastifyPluginCallback<ResourceOptions> {
  const { name, item } = resource
  const missing = () => new ProblemError(404, 'NOT_FOUND', `No such record in ${name}`)
  const found = (record: Item | undefined): Item => {
    if (record === undefined) throw missing()
    return record
  }
  return (app, { cursors }, done) => {
    const many = `/${name}`
    const one = `/${name}/:id`
    const params = idParameters
    // That a validated body is a Create or Change follows from Resource; Fastify cannot see through type parameters.
    app.get<{ Querystring: ListQuery }>(
      many,
      { schema: { querystring: resource.list, response: { 200: pageOf(item) } } },
      ({ tenant, query }) => listResource(resource, cursors, tenant, query),
    )
    app.post<{ Body: Create }>(
      many,
      { schema: { body: resource.create, response: { 201: item } } },
      async (request, reply) => {
        const created = await resource.insert(request.tenant.kysely, request.body as Create)
        const location = `${request.url.split('?', 1)[0]}/${created.id}`
        return reply.status(201).header('location', location).send(created)
      },
    )
    app.get<{ Params: { id: string } }>(
      one,
      { schema: { params, response: { 200: item } } },
      async (request) => found(await resource.find(request.tenant.kysely, request.params.id)),
    )
    app.patch<{ Params: { id: string }; Body: Change }>(
      one,
      { schema: { params, body: resource.change, response: { 200: item } } },
      async (request) =>
        found(await resource.update(request.tenant.kysely, request.params.id, request.body as Change)),
    )
    app.delete<{ Params: { id: string } }>(one, { schema: { params } }, async (request, reply) => {
      if (!(await resource.remove(request.tenant.kysely, request.params.id))) throw missing()
      return reply.status(204).send()
    })
    done()
  }
}

async function listResource<Item extends { readonly id: string }>(
  resource: Pick<Resource<Item, never, never>, 'name' | 'sorts' | 'readPage'>,
  cursors: CursorCodec,
  tenant: FastifyRequest['tenant'],
  query: ListQuery,
): Promise<{ items: Item[]; next: string | null }> {
  const sort = resource.sorts[query.sort]
  if (sort === undefined) throw new Error(`${resource.name} has no order by ${query.sort}`)
  const order = query.order ?? sort.order
  const scope = [tenant.key, resource.name, query.sort, order, query.q ?? '']
  const after = query.cursor === undefined ? null : cursors.decode(scope, query.cursor)
  const page = await resource.readPage(tenant.kysely, { sort, order, limit: query.limit, after }, query.q)
  return { items: [...page.rows], next: page.next && cursors.encode(scope, page.next) }
}
