/**
 * Connections of a mover, and how it loses them. Each bears the move's name and its lease, and is used only after the catalog has
 * been asked whether that lease is still the newest. Whoever takes a move over raises the lease first, and then ends all
 * connections with an older one: so what an earlier holder opened before is ended, and what it opens later it does not use. No
 * statement of an earlier holder begins after that, not even one that no transaction could guard, like CREATE DATABASE.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type HeldMove, reviewMove } from '../catalog/moves.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { migrationLock } from '../placements/install.ts'
import type { Servers } from '../strategies/servers.ts'
import type { Workshop } from '../strategies/strategy.ts'

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
  'synchronous_commit=on',
  'xmloption=content',
  'lc_monetary=C',
  'quote_all_identifiers=off',
  'default_transaction_isolation=read\\ committed',
  'default_transaction_read_only=off',
  'default_transaction_deferrable=off',
  // Whatever the server or the role would have them be: what is bounded here has bounds of its own.
  'statement_timeout=0',
  'lock_timeout=0',
  'transaction_timeout=0',
  'idle_in_transaction_session_timeout=0',
  'idle_session_timeout=0',
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
    keepAliveInitialDelayMillis: limits.administratorKeepAliveMs,
  }
}

/** Connections that have ended, or are about to: no query on them is answered any more. */
const lost = new WeakSet<pg.Client>()

export function isLost(client: pg.Client): boolean {
  return lost.has(client)
}

/** Who has a move. */
type Holder = Pick<HeldMove, 'id' | 'lease'>

/** What a holder's connections are called, before what each is for; 63 bytes together at most. */
function nameOf({ id, lease }: Holder): string {
  return `move ${id} ${lease} `
}

/** Ends what an earlier holder of the move still has open on a server. */
export async function evictEarlierHolder(
  servers: Pick<Servers, 'onServer'>,
  holder: Holder,
  server: string,
): Promise<void> {
  await servers.onServer(server, (client) =>
    client.query(
      `select pg_terminate_backend(pid, $2) from pg_stat_activity
        where starts_with(application_name, $1) and not starts_with(application_name, $3)`,
      [`move ${holder.id} `, limits.terminationWaitMs, nameOf(holder)],
    ),
  )
}

/** The same at both ends. */
export async function evict({ servers }: Pick<Workshop, 'servers'>, held: HeldMove): Promise<void> {
  for (const server of new Set([held.source.server, held.target.server])) {
    await evictEarlierHolder(servers, held, server)
  }
}

/** @throws QuickScaleError `MOVE_TAKEN_OVER` */
async function assertHeld(db: Workshop['catalog']['db'], holder: Holder): Promise<void> {
  if ((await reviewMove(db, holder)) === null)
    throw new QuickScaleError('MOVE_TAKEN_OVER', { move: holder.id })
}

/** The workshop for what a holder of a move has made or taken away by others: their connections are the holder's. */
export function asHolder(workshop: Workshop, holder: Holder): Workshop {
  const { catalog, servers } = workshop
  const owned = async <C extends pg.ClientBase, T>(client: C, work: (client: C) => Promise<T>) => {
    await client.query("select set_config('application_name', $1, false)", [`${nameOf(holder)}build`])
    await assertHeld(catalog.db, holder)
    const result = await work(client)
    // It may be kept for others. When the work fails it is not.
    await client.query('reset application_name')
    return result
  }
  return {
    ...workshop,
    servers: {
      ...servers,
      connected: (database, work) => servers.connected(database, (client) => owned(client, work)),
      pooled: (database, work) => servers.pooled(database, (client) => owned(client, work)),
      onServer: (server, work) => servers.onServer(server, (client) => owned(client, work)),
    },
  }
}

/**
 * Makes or takes away a database while nobody goes through all of them: no migration, and no replacement of keys, which would pass
 * over one that is not there yet, and trip over one that goes.
 */
export async function apart<T>({ catalog }: Workshop, { id }: Holder, work: () => Promise<T>): Promise<T> {
  return await catalog.locked({ exclusive: `move ${id}`, shared: migrationLock }, work)
}

/** The connections of one piece of work; all end with it. */
export class Sessions {
  readonly #workshop: Pick<Workshop, 'servers' | 'catalog'>
  readonly #holder: Holder
  readonly #clients: pg.Client[] = []
  readonly #closing: (() => Promise<void>)[] = []
  #closed: Promise<void> | null = null

  constructor(workshop: Pick<Workshop, 'servers' | 'catalog'>, holder: Holder) {
    this.#workshop = workshop
    this.#holder = holder
  }

  /** @throws QuickScaleError `MOVE_TAKEN_OVER` */
  async open(database: DatabaseRecord, purpose: string): Promise<pg.Client> {
    return await this.#connect(await sessionConfig(this.#workshop.servers, this.#holder, database, purpose))
  }

  async #connect(config: pg.ClientConfig): Promise<pg.Client> {
    if (this.#closed !== null) throw new Error('the work that this connection is for has ended')
    const client = new pg.Client(config)
    // A lost connection is reported by the query on it; an 'error' that nobody listens to ends Node.
    client.on('error', () => lost.add(client))
    client.once('end', () => lost.add(client))
    this.#clients.push(client)
    await client.connect()
    await assertHeld(this.#workshop.catalog.db, this.#holder)
    return client
  }

  /** A connection that takes replication commands. */
  async openReplication(database: DatabaseRecord): Promise<pg.Client> {
    const config = {
      ...(await sessionConfig(this.#workshop.servers, this.#holder, database, 'slot')),
      replication: 'database',
    }
    return await this.#connect(config)
  }

  /** Something else to be ended before the connections. */
  onClose(close: () => Promise<void>): void {
    this.#closing.push(close)
  }

  /** Ends all of them, in the middle of their work if need be. Repeatable: the next time what was begun meanwhile ends too. */
  close(): Promise<void> {
    this.#closed = Promise.allSettled([this.#closed]).then(() => this.#close())
    return this.#closed
  }

  async #close(): Promise<void> {
    for (const close of this.#closing.splice(0)) await close()
    await Promise.all(this.#clients.splice(0).map((client) => endNow(client)))
  }
}

/** A connection that does not answer is not waited for; what was wrong with it has been reported by the query on it. */
async function endNow(client: pg.Client): Promise<void> {
  const ended = client.end().catch(() => undefined)
  await Promise.race([ended, sleep(limits.terminationWaitMs, undefined, { ref: false })])
}

/**
 * Runs `work` with connections that end with it.
 *
 * @param signal of the work: what does not end soon after it waits for a server that nobody waits for any more
 * @throws its reason then
 */
export async function withSessions<T>(
  workshop: Pick<Workshop, 'servers' | 'catalog'>,
  holder: Holder,
  work: (sessions: Sessions) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted()
  const sessions = new Sessions(workshop, holder)
  let timer: NodeJS.Timeout | undefined
  const endSoon = () => {
    // Whoever has stopped the work is told his own reason.
    timer = setTimeout(() => sessions.close().catch(() => undefined), limits.terminationWaitMs)
  }
  signal?.addEventListener('abort', endSoon, { once: true })
  try {
    return await work(sessions)
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', endSoon)
    clearTimeout(timer)
    await sessions.close()
  }
}
