// The tenant of withContext is set on connections of a pool per tenant: https://www.thenile.dev/docs/getting-started/sdk
import { Server } from '@niledatabase/server'

/** Every tenant has a pool of its own: one connection each, or twenty tenants would want more than a server has. */
const connectionsPerTenant = 1

export function open(connection) {
  const { user, password, database } = connection
  const nile = new Server({
    // Its service for sign-in; nothing here signs in.
    apiUrl: 'http://127.0.0.1:9',
    user,
    password,
    databaseName: database,
    db: { ...connection, max: connectionsPerTenant },
  })
  return {
    run: (tenantId, { text, values }) =>
      nile.withContext({ tenantId }, (tenant) => tenant.query(text, values)),
    close: async () => nile.db.clearConnections(),
  }
}
