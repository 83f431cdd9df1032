import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { createTenancy, type Strategy, type Tenancy, type TenancyConfig } from '@quickscale/tenancy'
import type { Random } from '../packages/server/src/demo/random.ts'
import { Ledger } from './ledger.ts'
import { Network } from './network.ts'
import { DoomedServer, type ServerName, withClient } from './servers.ts'

export const strategies: readonly Strategy[] = ['rls', 'schema', 'database']
export const serverNames: readonly ServerName[] = ['primary', 'second']

/** Where a tenant may live. */
export interface Home {
  readonly strategy: Strategy
  readonly server: ServerName
}

/** A tenant, and what its application knows of its rows. */
export interface Subject {
  readonly key: string
  readonly id: string
  readonly ledger: Ledger
}

/** Two servers, an installation on them, and the ways over which movers reach them. */
export interface Site {
  readonly servers: Readonly<Record<ServerName, DoomedServer>>
  readonly networks: Readonly<Record<ServerName, Network>>
  readonly tenancy: Tenancy
  readonly installation: string
  /** What a mover's process is configured with: it goes through the networks. */
  readonly moverConfig: TenancyConfig
  /** Stay where they are: in the pools, and under a schema, beside the tenant that moves. */
  readonly neighbours: readonly Subject[]
  readonly random: Random
  /** Runs `work` as the administrator in a database. */
  inside<T>(
    server: ServerName,
    database: string,
    work: (client: import('pg').Client) => Promise<T>,
  ): Promise<T>
  inCatalog<T>(work: (client: import('pg').Client) => Promise<T>): Promise<T>
  createSubject(key: string, home: Home): Promise<Subject>
  close(): Promise<void>
}

export async function openSite(random: Random, onProgress: (what: string) => void): Promise<Site> {
  onProgress('starting two servers')
  const servers = { primary: await DoomedServer.start('primary'), second: await DoomedServer.start('second') }
  const networks = {
    primary: await Network.open(servers.primary.port),
    second: await Network.open(servers.second.port),
  }
  const installation = `chaos_${randomBytes(4).toString('hex')}`
  const masterKey = randomBytes(32).toString('base64')
  const configFor = (reach: (name: ServerName) => string): TenancyConfig => ({
    databaseUrl: reach('primary'),
    installation,
    masterKey,
    migrations: [join(import.meta.dirname, 'migrations')],
    plans: Object.fromEntries(strategies.map((strategy) => [strategy, { strategy }])),
    servers: { second: { url: reach('second') } },
    connections: { perDatabase: 6, perSilo: 6 },
  })
  const tenancy = await createTenancy(configFor((name) => servers[name].urlOf()))
  const createSubject = async (key: string, { strategy, server }: Home): Promise<Subject> => {
    const { id } = await tenancy.tenants.create({ slug: key, name: key, plan: strategy, server })
    return { key, id, ledger: new Ledger() }
  }
  onProgress('installing')
  await tenancy.migrate()
  const neighbours: Subject[] = []
  for (const strategy of ['rls', 'schema'] as const) {
    for (const server of serverNames) {
      neighbours.push(await createSubject(`beside-${strategy}-${server}`, { strategy, server }))
    }
  }
  const inside: Site['inside'] = (server, database, work) => withClient(servers[server].urlOf(database), work)
  return {
    servers,
    networks,
    tenancy,
    installation,
    moverConfig: configFor((name) => networks[name].through(servers[name].urlOf())),
    neighbours,
    random,
    inside,
    inCatalog: (work) => inside('primary', `${installation}_catalog`, work),
    createSubject,
    close: async () => {
      await tenancy.close()
      for (const name of serverNames) {
        networks[name].close()
        await servers[name].close()
      }
    },
  }
}
