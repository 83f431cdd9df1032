import { type Kysely, sql } from 'kysely'
import type { CatalogTables } from './tables.ts'

/** Milliseconds for which each tenant's work has had a connection, by its id. */
export type Work = ReadonlyMap<string, number>

/** Adds to what tenants have done. In one order, so that two processes do not wait for each other. */
export async function addActivity(db: Kysely<CatalogTables>, work: Work): Promise<void> {
  await sql`
    insert into catalog.activity as known (tenant_id, work, at)
    select tenant.id, given.work, now()
      from unnest(${[...work.keys()]}::uuid[], ${[...work.values()]}::double precision[]) as given (tenant_id, work)
      join catalog.tenant on tenant.id = given.tenant_id
     order by tenant.id
    on conflict (tenant_id) do update set work = catalog.faded(known) + excluded.work, at = excluded.at`.execute(
    db,
  )
}

/** What tenants of one server have done lately. */
export interface ActivityOnServer {
  /** Of the most active ones of each database. */
  readonly tenants: Work
  /** Of the others, by the id of their database. */
  readonly rest: ReadonlyMap<string, number>
}

/** @param listedMax tenants of each database that are listed by themselves */
export async function listActivity(
  db: Kysely<CatalogTables>,
  server: string,
  listedMax: number,
): Promise<ActivityOnServer> {
  const { rows } = await sql<{ tenant: string | null; database: string; work: number }>`
    select case when rank <= ${listedMax} then tenant_id end as tenant, database_id as database, sum(work) as work
      from (select activity.tenant_id, placement.database_id, catalog.faded(activity) as work,
                   row_number() over (partition by placement.database_id
                                      order by catalog.faded(activity) desc, activity.tenant_id) as rank
              from catalog.activity
              join catalog.placement on placement.tenant_id = activity.tenant_id
              join catalog.database on database.id = placement.database_id
              join catalog.server on server.id = database.server_id
             where server.name = ${server}) as active
     group by 1, 2`.execute(db)
  const tenants = new Map<string, number>()
  const rest = new Map<string, number>()
  for (const { tenant, database, work } of rows) {
    if (tenant === null) rest.set(database, work)
    else tenants.set(tenant, work)
  }
  return { tenants, rest }
}
