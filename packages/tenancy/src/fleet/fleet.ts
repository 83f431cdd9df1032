/**
 * Work over all tenants. Nothing here sees more than one tenant at a time: a query over the fleet is the same query in
 * each tenant's sealed context, so it means the same under every strategy and its rows are known to be whose they are.
 */
import type pg from 'pg'
import { assertFunction } from '../arguments.ts'
import type { ResolvedConfig } from '../config.ts'
import { limits } from '../limits.ts'
import { RouteTable } from '../placements/route.ts'
import type { Statement } from '../session/scope.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'
import { runStatement } from '../session/tenant-pool.ts'
import { type Budgets, createConnections } from '../strategies/connections.ts'
import { loginFor } from '../strategies/logins.ts'
import type { Workshop } from '../strategies/strategy.ts'
import type { Tenant } from '../tenant.ts'
import { type FleetOptions, type FleetOutcome, workOnTenants } from './every-tenant.ts'

/** What a fleet query found in one tenant's place. */
export type FleetAnswer<Row> =
  | { readonly tenant: Tenant; readonly rows: readonly Row[]; readonly error: null }
  | { readonly tenant: Tenant; readonly rows: readonly []; readonly error: unknown }

/** All active tenants together. */
export interface Fleet<DB = unknown> {
  /**
   * Asks one SELECT in every tenant's place, in parallel, as a role that can only read. Answers come in the order of
   * completion, each with its tenant; a place that cannot answer gives an error and keeps no other from answering.
   *
   * @throws the signal's reason; errors of single places are answers
   * @example
   * for await (const { tenant, rows, error } of tenancy.fleet.query('select count(*)::integer as deals from deal')) {
   *   console.log(tenant.slug, error ?? rows[0]?.deals)
   * }
   */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
    options?: FleetOptions,
  ): AsyncGenerator<FleetAnswer<Row>, void, undefined>
  /**
   * Runs `work` for every tenant, with its ordinary handle, and waits for all of them. What throws for one tenant is
   * that tenant's outcome.
   *
   * @param work gets a signal too, which is aborted when the whole is
   * @returns one outcome per tenant, in the order of completion
   * @throws the signal's reason
   * @example
   * const outcomes = await tenancy.fleet.forEach((tenant) => tenant.query('delete from session where expired'))
   * for (const { tenant, error } of outcomes) if (error !== null) console.error(tenant.slug, error)
   */
  forEach<T>(
    work: (tenant: TenantHandle<DB>, signal: AbortSignal) => Promise<T>,
    options?: FleetOptions,
  ): Promise<FleetOutcome<T>[]>
}

/** The fleet, and what makes its queries fail from then on. */
export function createFleet<DB>(
  workshop: Workshop,
  config: ResolvedConfig['connections'],
  budgets: Budgets,
  handleOf: (key: string) => TenantHandle<DB>,
): { readonly fleet: Fleet<DB>; close(): void } {
  const bounds = {
    ...config,
    perDatabase: limits.fleetConnectionsPerDatabase,
    perSilo: 1,
  }
  const connections = createConnections(bounds, budgets, workshop.servers, (database) =>
    loginFor(workshop, database, 'reader'),
  )
  const routes = new RouteTable(workshop.catalog, connections, workshop.masterKey)

  async function* query<Row extends pg.QueryResultRow>(
    statement: string | Statement,
    values?: unknown[],
    options: FleetOptions = {},
  ): AsyncGenerator<FleetAnswer<Row>, void, undefined> {
    const ask = async (tenant: Tenant, signal: AbortSignal) => {
      const result = await runStatement(routes.routerOf(tenant.id), null, statement, values, signal)
      return result.rows as Row[]
    }
    for await (const { tenant, value, error } of workOnTenants(workshop.catalog, options, ask)) {
      yield value === null ? { tenant, rows: [], error } : { tenant, rows: value, error: null }
    }
  }

  return {
    fleet: {
      query,
      forEach: async <T>(
        work: (tenant: TenantHandle<DB>, signal: AbortSignal) => Promise<T>,
        options: FleetOptions = {},
      ) => {
        assertFunction('work', work)
        const outcomes: FleetOutcome<T>[] = []
        const one = (tenant: Tenant, signal: AbortSignal) => work(handleOf(tenant.id), signal)
        for await (const outcome of workOnTenants(workshop.catalog, options, one)) outcomes.push(outcome)
        return outcomes
      },
    },
    close: () => routes.close(),
  }
}
