import type { z } from 'zod'
import { idParameters, type ListQuery, pageOf } from '../api/index.ts'
import type { Role } from './access.ts'
import type { CursorCodec } from './cursor.ts'
import { assertUnchanged } from './etag.ts'
import type { Page, PageRequest, SortColumn } from './page.ts'
import { ProblemError } from './problem-error.ts'
import { type Database, type InTenant, type Route, tenantRoute } from './route.ts'

export type { Database }

/** One kind of record: its schemas, its orders and its statements. Every statement is one round trip. */
export interface Resource<
  Item extends { readonly id: string },
  Create,
  Change,
  Query extends ListQuery = ListQuery,
> {
  /** The path segment: `contacts`. */
  readonly name: string
  /** One of them, in words: `a contact`. */
  readonly one: string
  /** The gauge that counts them, if plans may allow a certain number only. */
  readonly gauge?: string
  readonly item: z.ZodType<Item>
  readonly create: z.ZodType<Create>
  readonly change: z.ZodType<Change>
  readonly list: z.ZodType<Query>
  readonly sorts: Readonly<Record<string, SortColumn>>
  /** `insert` and `update` are one statement each, which returns the `id`. @defaultValue false */
  readonly oneStatement?: boolean
  /** @param query what the caller asked, for the filters of this list */
  readPage(db: Database, request: PageRequest, search: string | undefined, query: Query): Promise<Page<Item>>
  find(db: Database, id: string): Promise<Item | undefined>
  /** @param by who asks */
  insert(db: Database, values: Create, by: Asker): Promise<Item>
  update(db: Database, id: string, change: Change): Promise<Item | undefined>
  /** @returns whether there was such a row */
  remove(db: Database, id: string): Promise<boolean>
}

/** Who asks, and what they are in the tenant. */
export type Asker = Pick<InTenant, 'caller' | 'standing'>

export interface ResourceOptions {
  readonly cursors: CursorCodec
}

/** Who may do what with a kind of record. */
export interface ResourceAccess {
  /** @defaultValue `viewer` */
  readonly read?: Role
  /** @defaultValue `member` */
  readonly write?: Role
  /** Whether an operator may write who acts as a user. @defaultValue where a role below `admin` may */
  readonly impersonated?: boolean
}

/** The routes of a resource, for whoever mounts them. */
export type ResourceRoutes = (options: ResourceOptions, access?: ResourceAccess) => readonly Route[]

/** Serves a resource: list, get, create, change, delete. */
export function serveResource<
  Item extends { readonly id: string },
  Create,
  Change,
  Query extends ListQuery = ListQuery,
>(resource: Resource<Item, Create, Change, Query>): ResourceRoutes {
  return ({ cursors }, { read = 'viewer', write = 'member', impersonated } = {}) => [
    ...readingRoutes(resource, cursors, read),
    ...writingRoutes(resource, { access: write, ...(impersonated !== undefined && { impersonated }) }),
  ]
}

function readingRoutes<Item extends { readonly id: string }, Create, Change, Query extends ListQuery>(
  resource: Resource<Item, Create, Change, Query>,
  cursors: CursorCodec,
  access: Role,
): readonly Route[] {
  const { name, one, item } = resource
  return [
    tenantRoute({
      method: 'GET',
      path: `/${name}`,
      summary: `A page of ${name}`,
      access,
      query: resource.list,
      answers: { 200: pageOf(item) },
      handle: (input) => listResource(resource, cursors, input),
    }),
    tenantRoute({
      method: 'GET',
      path: `/${name}/:id`,
      summary: `Shows ${one}`,
      access,
      params: idParameters,
      answers: { 200: item },
      handle: async ({ db, params }) => found(name, await resource.find(db, params.id)),
    }),
  ]
}

function writingRoutes<Item extends { readonly id: string }, Create, Change, Query extends ListQuery>(
  resource: Resource<Item, Create, Change, Query>,
  who: { readonly access: Role; readonly impersonated?: boolean },
): readonly Route[] {
  const { name, one, item, gauge, oneStatement = false } = resource
  const addressed = { ...who, path: `/${name}/:id`, params: idParameters } as const
  return [
    tenantRoute({
      ...who,
      oneStatement,
      method: 'POST',
      path: `/${name}`,
      summary: `Creates ${one}`,
      ...(gauge !== undefined && { adds: () => ({ name: gauge, amount: 1 }) }),
      body: resource.create,
      answers: { 201: item },
      handle: async ({ db, body, request, reply, caller, standing }) => {
        const created = await resource.insert(db, body, { caller, standing })
        reply.header('location', `${request.url.split('?', 1)[0]}/${created.id}`)
        return created
      },
    }),
    tenantRoute({
      ...addressed,
      oneStatement,
      method: 'PATCH',
      summary: `Changes ${one}`,
      body: resource.change,
      answers: { 200: item },
      handle: (input) =>
        changing(resource, input, async (db) =>
          found(name, await resource.update(db, input.params.id, input.body)),
        ),
    }),
    tenantRoute({
      ...addressed,
      method: 'DELETE',
      summary: `Deletes ${one}`,
      answers: { 204: null },
      handle: (input) =>
        changing(resource, input, async (db) => {
          if (!(await resource.remove(db, input.params.id))) throw missing(name)
        }),
    }),
  ]
}

export const missing = (name: string) => new ProblemError(404, 'NOT_FOUND', `No such record in ${name}`)

export function found<Item>(name: string, record: Item | undefined): Item {
  if (record === undefined) throw missing(name)
  return record
}

/** One statement; with If-Match a transaction, in which nobody else can have changed the record. */
export async function changing<Item extends { readonly id: string }, T>(
  { name, item, find }: Pick<Resource<Item, never, never>, 'name' | 'item' | 'find'>,
  {
    inTransaction,
    db,
    params,
    request,
  }: Pick<InTenant<{ id: string }>, 'inTransaction' | 'db' | 'params' | 'request'>,
  change: (db: Database) => Promise<T>,
): Promise<T> {
  if (request.headers['if-match'] === undefined) return await change(db)
  return await inTransaction(
    async (transaction) => {
      const current = found(name, await find(transaction, params.id))
      assertUnchanged(request, JSON.stringify(item.encode(current)))
      return await change(transaction)
    },
    { isolation: 'repeatable read' },
  )
}

/** Reads the page that a request asks for. A cursor is good for the same list, order, search and filters only. */
export async function listResource<Item extends { readonly id: string }, Query extends ListQuery>(
  resource: Pick<Resource<Item, never, never, Query>, 'name' | 'sorts' | 'readPage'>,
  cursors: CursorCodec,
  { tenant, db, query }: Pick<InTenant<unknown, Query>, 'tenant' | 'db' | 'query'>,
): Promise<{ items: Item[]; next: string | null }> {
  const sort = resource.sorts[query.sort]
  if (sort === undefined) throw new Error(`${resource.name} has no order by ${query.sort}`)
  const order = query.order ?? sort.order
  const { q = '', sort: _sort, order: _order, limit: _limit, cursor: _cursor, ...filters } = query
  const scope = [tenant.key, resource.name, query.sort, order, q, JSON.stringify(filters)]
  const after = query.cursor === undefined ? null : cursors.decode(scope, query.cursor)
  const page = await resource.readPage(db, { sort, order, limit: query.limit, after }, query.q, query)
  return { items: [...page.rows], next: page.next && cursors.encode(scope, page.next) }
}
