import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyPluginCallback } from 'fastify'
import type { ConstraintMeanings } from '../http/problem.ts'
import type { ResourceOptions } from '../http/resource.ts'

/** A part of the application that brings its own tables, routes and first rows. */
export interface Module {
  readonly name: string
  /** Absolute path of the directory of its migrations. */
  readonly migrations: string
  /** What its constraints tell the caller. */
  readonly constraints: ConstraintMeanings
  /** Mounted once under `/t/:slug` and once at the root of a tenant's host. */
  readonly routes: FastifyPluginCallback<ResourceOptions>
  /** Gives a new tenant the rows it cannot be without; idempotent. */
  readonly seed?: (tenant: TenantHandle<TenantTables>) => Promise<void>
}
