import { LRUCache } from 'lru-cache'
import type { DatabaseRecord } from '../catalog/places.ts'
import type { ResolvedConfig } from '../config.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { isBroughtServer } from '../server-config.ts'
import { ConnectionBudget } from '../session/connection-budget.ts'
import { ScopedPool } from '../session/scoped-pool.ts'
import type { Login } from './logins.ts'
import type { Servers } from './servers.ts'

/** Pools of the databases tenants live in, for one purpose. */
export interface Connections {
  /**
   * The pool of a database; it has no connection yet.
   *
   * @throws QuickScaleError `CREDENTIAL_UNREADABLE`, `SERVER_UNKNOWN`, `TENANCY_CLOSED`
   */
  poolOf(database: DatabaseRecord): Promise<ScopedPool>
}

/** The budgets of all servers: shared by the pools of every purpose. */
export interface Budgets {
  readonly closed: boolean
  of(server: string): ConnectionBudget
  /** Ends all connections, each after the work on it. */
  close(): Promise<void>
}

/** @param perBrought connections to the server of one brought database */
export function createBudgets(perServer: number, perBrought: number): Budgets {
  const budgets = new Map<string, ConnectionBudget>()
  let closed = false
  return {
    get closed() {
      return closed
    },
    of: (server) => {
      const known = budgets.get(server)
      if (known !== undefined) return known
      const budget = new ConnectionBudget(isBroughtServer(server) ? perBrought : perServer)
      budgets.set(server, budget)
      return budget
    },
    close: async () => {
      closed = true
      await Promise.all([...budgets.values()].map((budget) => budget.close()))
    },
  }
}

export function createConnections(
  config: ResolvedConfig['connections'],
  budgets: Budgets,
  servers: Pick<Servers, 'of'>,
  loginOf: (database: DatabaseRecord) => Promise<Login>,
): Connections {
  // A pool that is forgotten while it is in use lives on: its budget and the routes to it hold it.
  const pools = new LRUCache<string, Promise<ScopedPool>>({ max: limits.poolsKept })

  const make = async (database: DatabaseRecord): Promise<ScopedPool> => {
    const { entrance } = await servers.of(database.server)
    const login = await loginOf(database)
    // A budget made now would never be closed.
    if (budgets.closed) throw new QuickScaleError('TENANCY_CLOSED')
    const silo = database.kind === 'silo'
    const options = {
      url: entrance.loginUrlOf(database.name, login.role, login.password),
      connectionsMax: silo ? config.perSilo : config.perDatabase,
      // Half of the budget stays open to silos, however many tenants wait in shared databases.
      guaranteed: silo ? 0 : Math.min(config.perDatabase, Math.floor(config.perServer / 2)),
      waitMs: config.waitMs,
      waitingMax: config.waitingPerTenant,
      idleMs: config.idleMs,
      statementTimeoutMs: config.statementTimeoutMs,
      pooler: entrance.pooler,
    }
    return new ScopedPool(options, budgets.of(database.server))
  }

  return {
    poolOf: (database) => {
      if (budgets.closed) return Promise.reject(new QuickScaleError('TENANCY_CLOSED'))
      // Of everything that was recorded: with another password or host it is another pool.
      const key = JSON.stringify(database)
      const known = pools.get(key)
      if (known !== undefined) return known
      const making = make(database)
      pools.set(key, making)
      making.catch(() => pools.delete(key))
      return making
    },
  }
}
