import type { TenantHandle, TransactionOptions } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { Addition } from '../audit/control-plane.ts'
import type { Enqueuing } from '../jobs/jobs.ts'
import type { Growth } from '../limiting/quotas.ts'
import type { Access, Caller, Role, Standing } from './access.ts'
import type { Database } from './database.ts'

export type { Database }

/** How much a request costs, for limits: nothing, of reading, of writing, of guessing passwords, of much work. */
export type RateClass = 'free' | 'read' | 'write' | 'sign-in' | 'costly'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
/** Schemas of the answers by status; null where there is no body. Problems need none. */
type Answers = Readonly<Record<number, z.ZodType | null>>

interface Declaration<Params, Query, Body> {
  readonly method: Method
  /** Below the tenant, or below the root: `/contacts/:id`. */
  readonly path: string
  /** One sentence for the reference. */
  readonly summary: string
  readonly access: Access
  /** @defaultValue `read` for GET, else `write` */
  readonly rate?: RateClass
  /** What the request adds to what the tenant has, of which its plan may allow a certain amount. @defaultValue nothing */
  adds?(body: Body): Growth
  readonly params?: z.ZodType<Params>
  readonly query?: z.ZodType<Query>
  readonly body?: z.ZodType<Body>
  /**
   * Writes with one INSERT or UPDATE that returns the `id`, unless there is an If-Match: its line of the audit log goes with it.
   * @defaultValue false: a transaction
   */
  readonly oneStatement?: boolean
  /**
   * Changes nothing in the tenant's place, and works while nobody may enter it; so no answer is kept there under an
   * Idempotency-Key. @defaultValue false
   */
  readonly besideTenant?: boolean
  /**
   * Whether an operator may do it who acts as the user.
   * @defaultValue what reads in a tenant, or takes a role below `admin`; nothing else, so nothing that is about the user themself
   */
  readonly impersonated?: boolean
  /** Bytes. @defaultValue 1 MiB */
  readonly bodyBytesMax?: number
  /** Content types of a body that is bytes, not JSON, for the document. */
  readonly bodyTypes?: readonly string[]
  /** The body stays as the bytes that were sent, whatever they are: what is signed is checked before it is read. */
  readonly rawBody?: boolean
  readonly answers: Answers
  /**
   * With which of `answers` goes out what `handle` returns, unless the reply has another status. The order of `answers` says
   * nothing: JavaScript sorts keys that are numbers.
   * @defaultValue the only one; where there are several it must be named
   */
  readonly status?: number
}

interface Asked<Params, Query, Body> {
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What a route of a tenant works with. */
export interface InTenant<Params = unknown, Query = unknown, Body = unknown>
  extends Asked<Params, Query, Body> {
  readonly tenant: TenantHandle<TenantTables>
  /**
   * The tenant's tables. But for GET, all of a request is one transaction that begins with its first statement, and this is it: so
   * do not use `tenant.kysely`.
   */
  readonly db: Database
  /**
   * Runs in one transaction: but for GET it is that of `db`, together with the line of the audit log. It may run again after a
   * conflict, and the whole of `handle` with it.
   *
   * @param options of a transaction that has not begun; under an Idempotency-Key it has
   */
  inTransaction<T>(work: (db: Database) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** Null only where `access` is `anyone`. */
  readonly caller: Caller | null
  readonly standing: Standing | null
  /** The same where `access` is a role. */
  here(): Standing
  /**
   * Leaves work for later, with the change that it belongs to: both are there, or neither.
   *
   * @param db the change's: `db`, or what `inTransaction` gives
   * @returns the job's id; null when one waits under the key already
   */
  readonly enqueue: Enqueuing['enqueue']
  /** To be called before rows of `job` are changed otherwise: they are looked at afterwards. */
  readonly changeJobs: Enqueuing['promise']
}

/** What a route outside of tenants works with. */
export interface InApplication<Params = unknown, Query = unknown, Body = unknown>
  extends Asked<Params, Query, Body> {
  /** Says more in the request's line of the audit log: who somebody turned out to be, what it was about. */
  audit(addition: Addition): void
  /** Null only where `access` is `anyone`. */
  readonly caller: Caller | null
}

/** One route, as the server, the document and the tests see it. */
export type Route = Declaration<unknown, unknown, unknown> & {
  readonly rate: RateClass
  readonly status: number
} & (
    | { readonly scope: 'tenant'; handle(input: InTenant): Promise<unknown> }
    | { readonly scope: 'application'; handle(input: InApplication): Promise<unknown> }
  )

/**
 * Declares a route that works in one tenant: mounted under `/t/:slug`, `/teams/:team`, and at the root, where host name,
 * header or credential name the tenant.
 *
 * @example
 * tenantRoute({
 *   method: 'GET', path: '/stages', summary: 'The stages of deals', access: 'viewer',
 *   answers: { 200: stagePage },
 *   handle: async ({ db }) => ({ items: await readStages(db) }),
 * })
 */
export function tenantRoute<Params, Query, Body>(
  declaration: Declaration<Params, Query, Body> & {
    readonly access: Role | 'anyone'
    handle(input: InTenant<Params, Query, Body>): Promise<unknown>
  },
): Route {
  const { handle, rate = rateOf(declaration.method), ...rest } = declaration
  // What was validated by `params` is a Params: nothing else calls this.
  return {
    ...rest,
    rate,
    status: statusOf(declaration),
    scope: 'tenant',
    handle: (input) => handle(input as InTenant<Params, Query, Body>),
  }
}

/** Declares a route outside of tenants: of users, or public. */
export function applicationRoute<Params, Query, Body>(
  declaration: Declaration<Params, Query, Body> & {
    readonly access: 'user' | 'anyone'
    handle(input: InApplication<Params, Query, Body>): Promise<unknown>
  },
): Route {
  const { handle, rate = rateOf(declaration.method), ...rest } = declaration
  return {
    ...rest,
    rate,
    status: statusOf(declaration),
    scope: 'application',
    handle: (input) => handle(input as InApplication<Params, Query, Body>),
  }
}

function rateOf(method: Method): RateClass {
  return method === 'GET' ? 'read' : 'write'
}

/** @throws Error when it is left open, or none of those that are declared */
function statusOf({
  method,
  path,
  answers,
  status,
}: Pick<Route, 'method' | 'path' | 'answers'> & { readonly status?: number }): number {
  const declared = Object.keys(answers).map(Number)
  const [only] = declared
  if (status === undefined && only !== undefined && declared.length === 1) return only
  if (status !== undefined && declared.includes(status)) return status
  throw new Error(
    `${method} ${path} answers with ${declared.join(', ')}: name by \`status\` which of them, unless the reply says otherwise`,
  )
}
