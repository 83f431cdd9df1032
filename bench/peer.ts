import type pg from 'pg'

/** Other libraries, by the names of their files in `peers/`, and the setting that their policies believe. */
export const peerSettings = {
  drizzle: 'app.tenant',
  prisma: 'app.tenant',
  'better-tenant': 'app.current_tenant',
  nile: 'nile.tenant_id',
} as const

export type PeerName = keyof typeof peerSettings

export const peerNames = Object.keys(peerSettings) as PeerName[]

/** Another library's way of running SQL for a tenant, as its documentation shows it. */
export interface Peer {
  run(tenantId: string, statement: { text: string; values: unknown[] }): Promise<PeerAnswer>
  close(): Promise<void>
}

/** What there is of an answer in every library. */
export type PeerAnswer = Pick<pg.QueryResult, 'rows' | 'rowCount'>

/** @throws PeersMissing when the libraries are not installed */
export async function openPeer(name: PeerName, connection: pg.PoolConfig): Promise<Peer> {
  try {
    const { open } = await import(new URL(`./peers/${name}.js`, import.meta.url).href)
    return open(connection)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') {
      throw new PeersMissing(error)
    }
    throw error
  }
}

export class PeersMissing extends Error {
  constructor(cause: Error) {
    super('The other libraries are not installed: npm ci --prefix bench/peers', { cause })
  }
}
