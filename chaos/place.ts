import type { Home, Site, Subject } from './site.ts'

/** A home, and what the catalog says of it. */
export interface Place extends Home {
  readonly database: string
  readonly schema: string
  readonly epoch: number
}

/** Where the catalog says that a tenant lives. */
export async function readHome(site: Site, { id, key }: Pick<Subject, 'id' | 'key'>): Promise<Place> {
  const { rows } = await site.inCatalog((client) =>
    client.query<Place>(
      `select placement.strategy, placement.schema_name as schema, placement.epoch,
              server.name as server, database.name as database
         from catalog.placement join catalog.database on database.id = placement.database_id
           join catalog.server on server.id = database.server_id
        where placement.tenant_id = $1`,
      [id],
    ),
  )
  if (rows[0] === undefined) throw new Error(`${key} has no place`)
  return rows[0]
}
