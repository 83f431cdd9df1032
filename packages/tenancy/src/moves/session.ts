import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { HeldMove } from '../catalog/moves.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import { limits } from '../limits.ts'
import type { Servers } from '../strategies/servers.ts'

/** What values look like as text depends on these; both ends must say the same. */
const pinned = [
  'jit=off',
  // What compares all rows of a tenant takes one processor, not all of them.
  'max_parallel_workers_per_gather=0',
  'DateStyle=ISO,YMD',
  'TimeZone=UTC',
  'IntervalStyle=postgres',
  'extra_float_digits=3',
  'bytea_output=hex',
  'xmloption=content',
  'statement_timeout=0',
  'idle_in_transaction_session_timeout=0',
]

/** Configuration of a mover's connection: the administrator's, directly to the server, with values in one notation. */
export async function sessionConfig(
  servers: Pick<Servers, 'of'>,
  holder: Holder,
  database: DatabaseRecord,
  purpose: string,
): Promise<pg.ClientConfig> {
  const { administrator } = await servers.of(database.server)
  return {
    connectionString: administrator.urlOf(database.name),
    application_name: `${nameOf(holder)}${purpose}`,
    options: pinned.map((setting) => `-c ${setting}`).join(' '),
    connectionTimeoutMillis: limits.catalogConnectMs,
    keepAlive: true,
  }
}

/** Who has a move. */
type Holder = Pick<HeldMove, 'id' | 'lease'>

/** What a holder's connections are called, before what each is for; 63 bytes together at most. */
function nameOf({ id, lease }: Holder): string {
  return `move ${id} ${lease} `
}

/**
 * Ends what an earlier holder of the move still has open in a database, so that nothing it has begun is done beside the next one's
 * work.
 */
export async function evictEarlierHolder(
  servers: Pick<Servers, 'connected'>,
  holder: Holder,
  database: DatabaseRecord,
): Promise<void> {
  await servers.connected(database, (client) =>
    client.query(
      `select pg_terminate_backend(pid, $2) from pg_stat_activity
        where starts_with(application_name, $1) and not starts_with(application_name, $3)
          and datname = current_database()`,
      [`move ${holder.id} `, limits.terminationWaitMs, nameOf(holder)],
    ),
  )
}

/** The connections of one piece of work; all end with it. */
export class Sessions {
  readonly #servers: Pick<Servers, 'of'>
  readonly #holder: Holder
  readonly #clients: pg.Client[] = []
  readonly #closing: (() => Promise<void>)[] = []

  constructor(servers: Pick<Servers, 'of'>, holder: Holder) {
    this.#servers = servers
    this.#holder = holder
  }

  async open(database: DatabaseRecord, purpose: string): Promise<pg.Client> {
    return await this.#connect(await sessionConfig(this.#servers, this.#holder, database, purpose))
  }

  async #connect(config: pg.ClientConfig): Promise<pg.Client> {
    const client = new pg.Client(config)
    // A lost connection is reported by the query on it; an 'error' that nobody listens to ends Node.
    client.on('error', () => undefined)
    await client.connect()
    this.#clients.push(client)
    return client
  }

  /** A connection that takes replication commands. */
  async openReplication(database: DatabaseRecord): Promise<pg.Client> {
    const config = {
      ...(await sessionConfig(this.#servers, this.#holder, database, 'slot')),
      replication: 'database',
    }
    return await this.#connect(config)
  }

  /** Something else to be ended before the connections. */
  onClose(close: () => Promise<void>): void {
    this.#closing.push(close)
  }

  /** Ends all of them, in the middle of their work if need be. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0)) await close()
    await Promise.all(this.#clients.splice(0).map((client) => endNow(client)))
  }
}

/** A connection that does not answer is not waited for; what was wrong with it has been reported by the query on it. */
async function endNow(client: pg.Client): Promise<void> {
  const ended = client.end().catch(() => undefined)
  await Promise.race([ended, sleep(limits.terminationWaitMs, undefined, { ref: false })])
}

/** Runs `work` with connections that end with it. */
export async function withSessions<T>(
  servers: Pick<Servers, 'of'>,
  holder: Holder,
  work: (sessions: Sessions) => Promise<T>,
): Promise<T> {
  const sessions = new Sessions(servers, holder)
  try {
    return await work(sessions)
  } finally {
    await sessions.close()
  }
}
