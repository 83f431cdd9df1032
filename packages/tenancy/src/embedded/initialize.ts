import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chown, link, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ServerAccount } from './account.ts'
import { failure, messageOf, systemCode } from './failure.ts'
import type { Location } from './location.ts'
import { makeScratch, remove, removeAbandonedScratch, removeWhole } from './scratch.ts'

const run = promisify(execFile)

const PASSWORD_BYTES = 24

/** What the server's programs see of our environment: nothing. English messages, because errors are recognised by them. */
export const programEnvironment = { LC_ALL: 'C', TZ: 'UTC' } as const

/**
 * Leaves a complete data directory and the password that opens it; returns the password.
 *
 * Repeatable after a crash at any point: the password comes first and is kept, and initdb works in a scratch
 * directory that a single rename makes the data directory.
 */
export async function initialize(
  location: Location,
  options: { account: ServerAccount; initdb: string; onProgress: (message: string) => void },
): Promise<string> {
  await removeAbandonedScratch(location.directory)
  if (location.relocated) await removeAbandonedScratch(location.dataParent)
  if (await exists(join(location.dataDirectory, 'PG_VERSION'))) {
    const password = await readPassword(location)
    if (password !== null) return password
    if (!location.relocated || (await exists(location.noteFile))) {
      throw failure(
        `${location.passwordFile} is gone; restore it, or remove ${location.dataDirectory} to start afresh`,
      )
    }
    // The project's half was removed to start afresh; this is the half it could not take along.
    await removeWhole(location.dataParent, location.dataDirectory)
  }
  const password = await obtainPassword(location)
  options.onProgress('preparing a PostgreSQL data directory')
  await createDataDirectory(location, { ...options, password })
  return password
}

async function createDataDirectory(
  location: Location,
  options: { account: ServerAccount; initdb: string; password: string },
): Promise<void> {
  const scratch = await makeScratch(location.dataParent)
  const data = join(scratch, 'data')
  const passwordFile = join(scratch, 'password')
  try {
    await mkdir(data, { mode: 0o700 })
    await writeFile(passwordFile, options.password, { mode: 0o600 })
    if (options.account !== null) {
      for (const path of [data, passwordFile]) await chown(path, options.account.uid, options.account.gid)
    }
    await run(
      options.initdb,
      [
        `--pgdata=${data}`,
        '--username=postgres',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--no-sync',
      ],
      { ...options.account, cwd: '/', env: programEnvironment },
    )
    await rename(data, location.dataDirectory)
  } catch (error) {
    // A process that started at the same moment may have been first; its data directory is as good.
    if (await exists(join(location.dataDirectory, 'PG_VERSION'))) return
    if (systemCode(error) === 'ENOTEMPTY') {
      throw failure(
        `${location.dataDirectory} holds something that is not a data directory; remove it`,
        error,
      )
    }
    throw failure(`initdb failed: ${messageOf(error)}`, error)
  } finally {
    await remove(scratch)
  }
}

/** Reads the password, or makes one; of two processes that do so at once, both get the same. */
async function obtainPassword(location: Location): Promise<string> {
  const existing = await readPassword(location)
  if (existing !== null) return existing
  const scratch = await makeScratch(location.directory)
  try {
    const candidate = join(scratch, 'password')
    await writeFile(candidate, randomBytes(PASSWORD_BYTES).toString('base64url'), { mode: 0o600 })
    // link() never replaces, and shows the file with its whole content or not at all.
    await link(candidate, location.passwordFile)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
  } finally {
    await remove(scratch)
  }
  return readFile(location.passwordFile, 'utf8')
}

async function readPassword(location: Location): Promise<string | null> {
  try {
    return await readFile(location.passwordFile, 'utf8')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null
    throw error
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}
