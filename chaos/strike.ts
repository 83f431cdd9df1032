import { setTimeout as sleep } from 'node:timers/promises'
import type { MoverProcess } from '../test/support/mover-process.ts'
import type { Scenario } from './scenarios.ts'
import type { ServerName } from './servers.ts'
import type { Site } from './site.ts'

/** Lets the fault happen, and be over. */
export async function strike(
  site: Site,
  fault: Scenario['fault'],
  mover: MoverProcess,
  { source, target }: { source: ServerName; target: ServerName },
): Promise<void> {
  const { random } = site
  switch (fault) {
    case 'kill mover':
      return await mover.kill()
    case 'end connections at source':
      return await endConnections(site, source)
    case 'end connections at target':
      return await endConnections(site, target)
    case 'cut network to source':
      return await cutNetwork(site, source)
    case 'cut network to target':
      return await cutNetwork(site, target)
    case 'catalog outage':
      return await closeCatalog(site)
    case 'crash source':
      return await site.servers[source].crash(random.below(1_000))
    case 'crash target':
      return await site.servers[target].crash(random.below(1_000))
  }
}

async function endConnections(site: Site, server: ServerName): Promise<void> {
  await site.inside(server, 'postgres', (client) =>
    client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where starts_with(application_name, 'move ')`,
    ),
  )
}

async function cutNetwork({ networks, random }: Site, server: ServerName): Promise<void> {
  networks[server].cut()
  await sleep(random.below(1_500))
  networks[server].mend()
}

async function closeCatalog({ inside, installation }: Site): Promise<void> {
  const catalog = `${installation}_catalog`
  await inside('primary', 'postgres', async (client) => {
    await client.query(`alter database ${catalog} allow_connections false`)
    try {
      await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
        catalog,
      ])
      await sleep(1_000)
    } finally {
      await client.query(`alter database ${catalog} allow_connections true`)
    }
  })
}

/** Whether the application may see errors: what it works with was taken away too. */
export function isFeltByClients(fault: Scenario['fault']): boolean {
  return fault === 'catalog outage' || fault === 'crash source' || fault === 'crash target'
}
