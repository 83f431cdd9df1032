import type { MoveState } from '@quickscale/tenancy'
import type pg from 'pg'
import type { ServerName } from './servers.ts'
import type { Site } from './site.ts'

/** A move as it is written down. */
export interface PersistedMove {
  readonly id: string
  readonly state: MoveState
  readonly sourceServer: ServerName
  readonly sourceDatabase: string
  readonly targetServer: ServerName
  readonly targetDatabase: string
}

const beforeSwitch: readonly string[] = ['planned', 'copying', 'streaming']

/** Looks again and again, over one connection to the catalog and one to the source. */
export class Watch {
  readonly #catalog: pg.Client
  readonly #source: pg.Client
  readonly #tenantId: string

  constructor(catalog: pg.Client, source: pg.Client, tenantId: string) {
    this.#catalog = catalog
    this.#source = source
    this.#tenantId = tenantId
  }

  /** The tenant's latest move; the source counts for whether it is switched. */
  async look(after: Date): Promise<PersistedMove | null> {
    const { rows } = await this.#catalog.query<PersistedMove>(
      `select id, state, source_server as "sourceServer", source_database as "sourceDatabase",
              target_server as "targetServer", target_database as "targetDatabase"
         from catalog.move where tenant_id = $1 and created_at > $2 order by created_at desc limit 1`,
      [this.#tenantId, after],
    )
    const [move] = rows
    if (move === undefined || !beforeSwitch.includes(move.state)) return move ?? null
    const ends = await this.#source.query<{ state: MoveState }>(
      `select state from quickscale.move_end where move_id = $1 and role = 'source'`,
      [move.id],
    )
    // `active` at the source: its target is being opened.
    return ['switched', 'active'].includes(ends.rows[0]?.state ?? '') ? { ...move, state: 'switched' } : move
  }
}

/** Runs `work` with a watch over a tenant that lives in `database`. */
export async function withWatch<T>(
  site: Site,
  tenantId: string,
  source: { server: ServerName; database: string },
  work: (watch: Watch) => Promise<T>,
): Promise<T> {
  return await site.inCatalog((catalog) =>
    site.inside(source.server, source.database, (client) => work(new Watch(catalog, client, tenantId))),
  )
}
