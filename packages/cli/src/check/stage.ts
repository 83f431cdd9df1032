import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QuickScaleError } from '@quickscale/tenancy'
import { startEmbeddedServer } from '@quickscale/tenancy/embedded'
import pg from 'pg'

/** A server to work on, and a prefix of names that are ours on it. */
export interface Stage {
  readonly url: string
  readonly prefix: string
  urlOf(database: string): string
  /** Ends every session in our databases, so that whatever runs fails. */
  interrupt(): Promise<void>
  /** Removes all that was made. Repeatable. */
  close(): Promise<void>
}

/**
 * @param serverUrl a superuser's URL; undefined starts a server that is gone afterwards
 * @throws QuickScaleError `EMBEDDED_SERVER_FAILED`, `SERVER_UNSUITABLE`, `SERVER_UNREACHABLE`
 */
export async function openStage(
  serverUrl: string | undefined,
  onProgress: (message: string) => void,
): Promise<Stage> {
  const prefix = `qc${randomBytes(4).toString('hex')}`
  if (serverUrl !== undefined) return await openGiven(serverUrl, prefix)
  const directory = await mkdtemp(join(tmpdir(), 'quickscale-check-'))
  // For root the server runs as user postgres, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  const removeDirectory = () => rm(directory, { recursive: true, force: true })
  try {
    const server = await startEmbeddedServer({ directory, ephemeral: true, onProgress })
    let closing: Promise<void> | undefined
    const close = () => {
      closing ??= server.stop().then(removeDirectory)
      return closing
    }
    return {
      url: server.url,
      prefix,
      urlOf: (database) => urlOf(server.url, database),
      interrupt: close,
      close,
    }
  } catch (error) {
    await removeDirectory()
    throw error
  }
}

async function openGiven(url: string, prefix: string): Promise<Stage> {
  const isPostgres = URL.canParse(url) && /^postgres(ql)?:$/.test(new URL(url).protocol)
  if (!isPostgres) throw unreachable('of --server', 'its URL must begin with postgres://')
  await assertReachable(url)
  await connected(url, async (client) => {
    const { rows } = await client.query<{ superuser: boolean }>(
      'select rolsuper as superuser from pg_roles where rolname = current_user',
    )
    if (rows[0]?.superuser === true) return
    throw new QuickScaleError('SERVER_UNSUITABLE', {
      reason: 'a check needs a superuser: scripts create extensions',
    })
  })
  let closing: Promise<void> | undefined
  return {
    url,
    prefix,
    urlOf: (database) => urlOf(url, database),
    interrupt: () => connected(url, (client) => endSessions(client, prefix)),
    close: () => {
      closing ??= connected(url, (client) => removeAll(client, prefix))
      return closing
    },
  }
}

async function assertReachable(url: string): Promise<void> {
  try {
    await connected(url, async () => undefined)
  } catch (cause) {
    throw unreachable(new URL(url).host, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

function unreachable(server: string, reason: string, cause?: unknown): QuickScaleError {
  return new QuickScaleError('SERVER_UNREACHABLE', { server, reason }, { cause })
}

async function endSessions(client: pg.Client, prefix: string): Promise<void> {
  await client.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where starts_with(datname, $1) and pid <> pg_backend_pid()',
    [`${prefix}_`],
  )
}

/** The group roles stay: other installations of the server use the same, perhaps since a moment ago. */
async function removeAll(client: pg.Client, prefix: string): Promise<void> {
  const databases = await client.query<{ name: string }>(
    'select datname::text as name from pg_database where starts_with(datname, $1)',
    [`${prefix}_`],
  )
  for (const { name } of databases.rows)
    await client.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`)
  const roles = await client.query<{ name: string }>(
    'select rolname::text as name from pg_roles where starts_with(rolname, $1)',
    [`${prefix}_`],
  )
  for (const { name } of roles.rows) await client.query(`drop role if exists ${pg.escapeIdentifier(name)}`)
}

/** Runs `work` on a connection that is closed afterwards. */
export async function connected<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'quickscale check' })
  // A lost connection is reported by the query on it; an 'error' that nobody listens to ends Node.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function urlOf(server: string, database: string): string {
  const url = new URL(server)
  url.pathname = `/${encodeURIComponent(database)}`
  return url.href
}
