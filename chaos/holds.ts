import pg from 'pg'
import type { ServerName } from './servers.ts'
import type { Site } from './site.ts'
import type { PersistedMove } from './state.ts'

/**
 * A lock that a mover waits for, so that it stays where it is until it is struck. Of a table: one of a row would take a transaction
 * id, and the making of a slot waits for whoever has one.
 */
export interface Hold {
  release(): Promise<void>
}

async function hold(url: string, text: string): Promise<Hold> {
  const client = new pg.Client({ connectionString: url, application_name: 'chaos hold' })
  client.on('error', () => undefined)
  await client.connect()
  await client.query('begin')
  await client.query(text)
  // Its server may have been killed meanwhile, and the lock with it.
  return { release: () => client.end().catch(() => undefined) }
}

/** The mover's first words to the source: it stays `planned`. */
export async function holdPlanned(
  site: Site,
  { server, database }: { server: ServerName; database: string },
): Promise<Hold> {
  return await hold(site.servers[server].urlOf(database), 'lock table quickscale.move_end in share mode')
}

/** What the mover writes after its switch: the new place's fence, or where the catalog leads. */
export async function holdSwitched(site: Site, move: PersistedMove): Promise<Hold> {
  const within = move.sourceServer === move.targetServer && move.sourceDatabase === move.targetDatabase
  const [url, table] =
    within || site.random.chance(0.5)
      ? [site.servers.primary.urlOf(`${site.installation}_catalog`), 'catalog.placement']
      : [site.servers[move.targetServer].urlOf(move.targetDatabase), 'quickscale.placement']
  return await hold(url, `lock table ${table} in share mode`)
}

/** The record of the move: whoever is asked for something else stays in the state it is in. */
export async function holdRecord(site: Site): Promise<Hold> {
  const url = site.servers.primary.urlOf(`${site.installation}_catalog`)
  return await hold(url, 'lock table catalog.move in share mode')
}
