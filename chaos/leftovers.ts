import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Place } from './place.ts'
import type { ServerName } from './servers.ts'
import { type Site, type Subject, serverNames } from './site.ts'

/** What is there of a tenant, or of a move, where nothing should be. */
export interface Remains {
  /** More than a thing left lying: nobody knows where the tenant lives. */
  readonly broken: readonly string[]
  readonly leftovers: readonly string[]
}

/** Looks through every database of both servers. */
export async function findLeftovers(site: Site, subject: Subject, home: Place): Promise<Remains> {
  const broken: string[] = []
  const leftovers: string[] = []
  for (const server of serverNames) {
    leftovers.push(...(await findOnServer(site, server)))
    for (const database of await listDatabases(site, server)) {
      const remains = await findInDatabase(site, subject, home, { server, database })
      broken.push(...remains.broken)
      leftovers.push(...remains.leftovers)
    }
  }
  return { broken, leftovers }
}

async function listDatabases(site: Site, server: ServerName): Promise<string[]> {
  const { rows } = await site.inside(server, 'postgres', (client) =>
    client.query<{ name: string }>(
      `select datname as name from pg_database where starts_with(datname, $1) and datallowconn`,
      [`${site.installation}_`],
    ),
  )
  return rows.map(({ name }) => name).filter((name) => name !== `${site.installation}_catalog`)
}

async function findOnServer(site: Site, server: ServerName): Promise<string[]> {
  const known = await site.inCatalog((client) =>
    client.query<{ name: string; login: string | null }>(
      `select database.name, login_role as login
         from catalog.database join catalog.server on server.id = server_id where server.name = $1`,
      [server],
    ),
  )
  const names = known.rows.map(({ name }) => name)
  const logins = known.rows.flatMap(({ login }) => (login === null ? [] : [login]))
  return await site.inside(server, 'postgres', async (client) => {
    // Of a mover that was killed, the backends end as soon as they look.
    for (let attempt = 1; attempt <= 30 && (await countMovers(client)) > 0; attempt += 1) await sleep(100)
    const { rows } = await client.query<{ what: string }>(
      `select 'slot ' || slot_name as what from pg_replication_slots where starts_with(slot_name, 'quickscale_')
       union all
       select 'connection ' || application_name from pg_stat_activity where starts_with(application_name, 'move ')
       union all
       select 'database ' || datname from pg_database
        where starts_with(datname, $1 || '_') and datname <> $1 || '_catalog' and datname <> all ($2)
       union all
       select 'role ' || rolname from pg_roles
        where starts_with(rolname, $1 || '_') and rolcanlogin and rolname <> all ($3)
       union all
       select 'no database ' || name from unnest($2::text[]) as name
        where not exists (select from pg_database where datname = name)`,
      [site.installation, names, logins],
    )
    return rows.map(({ what }) => `${what} on ${server}`)
  })
}

async function countMovers(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(
    `select from pg_stat_activity where starts_with(application_name, 'move ')`,
  )
  return rowCount ?? 0
}

async function findInDatabase(
  site: Site,
  { id }: Subject,
  home: Place,
  { server, database }: { server: ServerName; database: string },
): Promise<Remains> {
  const isHome = home.server === server && home.database === database
  const at = (what: string) => `${what} in ${database} on ${server}`
  return await site.inside(server, database, async (client) => {
    const fences = await client.query<{ state: string; epoch: number; schema: string }>(
      'select state, epoch, schema_name as schema from quickscale.placement where tenant_id = $1',
      [id],
    )
    const [fence] = fences.rows
    const broken =
      isHome && (fence?.state !== 'active' || fence.epoch !== home.epoch || fence.schema !== home.schema)
        ? [
            at(
              `fence ${JSON.stringify(fence)}, the catalog has epoch ${home.epoch} and schema ${home.schema},`,
            ),
          ]
        : !isHome && fence?.state === 'active'
          ? [at('a second active fence')]
          : []
    const things = await client.query<{ what: string }>(
      `select 'publication ' || pubname as what from pg_publication where starts_with(pubname, 'quickscale_')
       union all
       select 'knowledge of a move: ' || role || ' ' || state from quickscale.move_end
       union all
       select 'schema ' || nspname from pg_namespace where nspname = 'tenant_' || replace($1::text, '-', '')
          and nspname is distinct from $2
       union all
       select 'schema ' || nspname from pg_namespace where nspname = 'tenant_' || replace($1::text, '-', '_')
          and nspname is distinct from $2`,
      [id, isHome ? home.schema : null],
    )
    const rows = await countRows(client, id, isHome ? home.schema : null)
    const leftovers = [
      ...things.rows.map(({ what }) => what),
      ...(!isHome && fence !== undefined ? [`fence ${fence.state}`] : []),
      ...rows,
    ]
    return { broken, leftovers: leftovers.map(at) }
  })
}

/** Rows of the tenant in shared tables that it does not live in. */
async function countRows(client: pg.Client, tenantId: string, homeSchema: string | null): Promise<string[]> {
  const tables = await client.query<{ schema: string; name: string }>(
    `select relnamespace::regnamespace::text as schema, relname as name from pg_class join pg_attribute on attrelid = pg_class.oid
      where relkind = 'r' and attname = 'tenant_id' and relnamespace = to_regnamespace('app')`,
  )
  const found: string[] = []
  for (const { name } of tables.rows) {
    if (homeSchema === 'app') continue
    const { rows } = await client.query<{ count: number }>(
      `select count(*)::integer as count from app.${pg.escapeIdentifier(name)} where tenant_id = $1`,
      [tenantId],
    )
    if ((rows[0]?.count ?? 0) > 0) found.push(`${rows[0]?.count} rows of ${name}`)
  }
  return found
}
