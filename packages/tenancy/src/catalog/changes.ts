import pg from 'pg'
import { limits } from '../limits.ts'
import { pause } from '../pause.ts'

/** A tenant that is routed elsewhere, or called otherwise, than before. */
export interface ChangedTenant {
  readonly id: string
  /** Old and new. */
  readonly slugs: readonly string[]
}

/** Who wants to hear. */
export interface ChangeListener {
  changed(tenant: ChangedTenant): void
  /** The tenant is about to be switched to the database. */
  expected?(tenant: ChangedTenant, databaseId: string): void
  /** A user has become something in a tenant, or is no longer what they were. */
  memberChanged?(tenantId: string, userId: string): void
}

/** The step of the catalog's versions from which on it announces its changes: sql/catalog/. */
const announcing = '_changes.sql'
/** The one from which on it announces those of members. */
const announcingMembers = '_member_changes.sql'
const channel = 'quickscale_changes'

/**
 * Hears over one connection what changes in the catalog. A beat on it proves that nothing was missed: the server
 * delivers what was announced before it answers. When it is lost, what was read before is believed only for as long as
 * without it, and it is opened again.
 */
export class CatalogChanges {
  readonly #url: string
  readonly #closing = new AbortController()
  readonly #listeners = new Set<ChangeListener>()
  #announcesMembers = false
  #count = 0
  /** Every change after this moment was heard. */
  #sinceMs = Number.POSITIVE_INFINITY
  /** When the last question was asked that has been answered. */
  #beatAtMs = Number.NEGATIVE_INFINITY
  #running: Promise<void> | null = null

  constructor(url: string) {
    this.#url = url
  }

  /** How many changes were heard: whoever reads the catalog sees whether one came meanwhile. */
  get count(): number {
    return this.#count
  }

  /** Begins to listen with the first one; repeatable. */
  listen(listener: ChangeListener): void {
    if (this.#closing.signal.aborted) return
    this.#listeners.add(listener)
    this.#running ??= this.#keepListening()
  }

  /** Whether a change of what was read at that moment, or later, would have been heard by now. */
  covers(readAtMs: number): boolean {
    return readAtMs > this.#sinceMs && Date.now() - this.#beatAtMs < limits.routeLifetimeMs
  }

  /** The same of a change of members. They are believed for a shorter time on a connection that has fallen silent. */
  coversMembers(readAtMs: number): boolean {
    const silentMs = Date.now() - this.#beatAtMs
    const heard = readAtMs > this.#sinceMs && readAtMs <= Date.now() && silentMs < limits.lineageSilenceMs
    return this.#announcesMembers && heard && silentMs >= 0
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #keepListening(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      // Why it was lost is of no use to anybody: whoever needs the catalog next is told whether it can be reached.
      await this.#listenUntilLost().catch(() => undefined)
      this.#sinceMs = Number.POSITIVE_INFINITY
      await pause(limits.catalogListenRetryMs, this.#closing.signal)
    }
  }

  async #listenUntilLost(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: limits.catalogConnectMs,
      query_timeout: limits.catalogConnectMs,
      application_name: 'quickscale changes',
    })
    const lost = new AbortController()
    const stop = AbortSignal.any([this.#closing.signal, lost.signal])
    client.on('error', () => undefined)
    client.once('end', () => {
      this.#sinceMs = Number.POSITIVE_INFINITY
      lost.abort()
    })
    client.on('notification', ({ payload = '' }) => this.#hear(payload))
    try {
      await client.connect()
      unref(client)
      await client.query(`listen ${channel}`)
      const sinceMs = Date.now()
      while (!stop.aborted) {
        const askedAtMs = Date.now()
        const { rows } = await client.query<{ name: string }>(
          'select name from catalog.version where name like $1',
          [`%${announcing}`],
        )
        if (rows.length === 0) return
        this.#announcesMembers = rows.some(({ name }) => name.endsWith(announcingMembers))
        this.#beatAtMs = askedAtMs
        if (this.#sinceMs === Number.POSITIVE_INFINITY) this.#sinceMs = sinceMs
        await pause(limits.catalogBeatMs, stop)
      }
    } finally {
      // What it still hears is for nobody: the next connection begins anew.
      client.removeAllListeners('notification')
      // Not awaited: a server that does not answer would not end it either.
      client.end().catch(() => undefined)
    }
  }

  #hear(payload: string): void {
    const [id = '', ...slugs] = payload.split(' ')
    if (id === '>') {
      const [databaseId = '', tenantId = '', ...names] = slugs
      this.#tell((listener) => listener.expected?.({ id: tenantId, slugs: names }, databaseId))
      return
    }
    if (id === '@') {
      const [tenantId = '', userId = ''] = slugs
      this.#tell((listener) => listener.memberChanged?.(tenantId, userId))
      return
    }
    this.#count += 1
    if (id === '*') this.#sinceMs = Date.now()
    else this.#tell((listener) => listener.changed({ id, slugs }))
  }

  #tell(what: (listener: ChangeListener) => void): void {
    for (const listener of this.#listeners) what(listener)
  }
}

/** It keeps nobody's process alive. The driver has this method; its types do not. */
function unref(client: pg.Client): void {
  ;(client as pg.Client & { unref(): void }).unref()
}
