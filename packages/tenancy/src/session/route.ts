import type { Destination } from './destination.ts'
import type { ScopedPool } from './scoped-pool.ts'
import type { TokenSource } from './token.ts'

/** How much a tenant does; whoever works for it adds to it. */
export interface Usage {
  /** Milliseconds for which its work has had a connection. */
  busyMs: number
}

/** Where a tenant is reached right now. */
export interface Route {
  readonly tenantId: string
  readonly schemaName: string
  readonly pool: ScopedPool
  readonly tokens: TokenSource
  readonly usage: Usage
}

/** Finds the route of one tenant. A stale answer is harmless: the fence in the database refuses it. */
export interface Router {
  /** The key the tenant was asked for by; for messages. */
  readonly key: string
  /** How long a statement may take, where that is said. */
  readonly statementTimeoutMs?: number
  /** Whether texts without a name are prepared when they come again. */
  readonly prepare?: boolean
  /** The place of this route has been about to open for too long. */
  hasten(route: Route): void
  /** The cached route, or null. */
  current(): Route | null
  resolve(): Promise<Route>
  /**
   * Finds the route anew, after the database refused this one.
   *
   * @param destination where the database says that the tenant has gone, if it does
   */
  refresh(stale: Route, destination?: Destination | null): Promise<Route>
}
