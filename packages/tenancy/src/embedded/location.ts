import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, realpath, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { mayExecute, type ServerAccount } from './account.ts'
import { failure, systemCode } from './failure.ts'

/** Where the files of one server are. Everything but the data is read by our own user only. */
export interface Location {
  /** The directory the caller named, links resolved. */
  readonly directory: string
  /** Holds the data directory and the scratch directories it is prepared in. */
  readonly dataParent: string
  readonly dataDirectory: string
  readonly passwordFile: string
  readonly logFile: string
  /** Says where the data is, when it is not in `directory`. */
  readonly noteFile: string
  readonly relocated: boolean
}

/**
 * Decides where the data goes: into `directory`, unless the server's user cannot get there.
 *
 * Root's server runs as user postgres, and root's projects often lie below a directory closed to everyone else
 * (/root, `mktemp -d`). Opening other people's directories is not ours to do, so the data is kept under a path made
 * from the directory's name, in a place of root's own that postgres can reach, and a note is left instead.
 */
export async function locate(
  named: string,
  options: { account: ServerAccount; ephemeral: boolean },
): Promise<Location> {
  const made = await mkdir(resolve(named), { recursive: true })
  const directory = await realpath(named)
  if (made !== undefined && options.account !== null) await chmod(directory, 0o755)
  const relocated = options.account !== null && !(await mayExecute(options.account, directory))
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16)
  const dataParent = relocated ? join(await findSharedBase(options), name) : directory
  await mkdir(dataParent, { recursive: true })
  if (relocated) await chmod(dataParent, 0o755)
  return {
    directory,
    dataParent,
    dataDirectory: join(dataParent, 'postgres-data'),
    passwordFile: join(directory, 'postgres-password'),
    logFile: join(directory, 'postgres.log'),
    noteFile: join(directory, 'postgres-data-location.txt'),
    relocated,
  }
}

/** A directory only root can change and the server's user can pass through. */
export async function findSharedBase(options: {
  account: ServerAccount
  ephemeral: boolean
}): Promise<string> {
  // /tmp may be emptied at every boot: right for a test's data, a loss for a developer's.
  const parents = options.ephemeral ? [tmpdir()] : ['/var/lib', tmpdir()]
  for (const parent of parents) {
    const base = join(parent, 'quickscale-embedded')
    if ((await makeOwnDirectory(base)) && (await mayExecute(options.account, base))) return base
  }
  throw failure(
    `user postgres cannot reach the project's directory, nor a directory of root's in ${parents.join(' or ')}`,
  )
}

export async function writeLocationNote(location: Location): Promise<void> {
  const text = `The data of this project's embedded PostgreSQL server is in
${location.dataDirectory}
because the server runs as user postgres, who cannot pass through the directories above this one.
Remove this directory to start afresh: the data there goes with the next start.
`
  await writeFile(location.noteFile, text)
}

/** In a directory everyone may write to, somebody else could have put a directory (or a link) of that name there. */
async function makeOwnDirectory(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    await chmod(path, 0o755)
  } catch (error) {
    const code = systemCode(error) ?? ''
    if (['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes(code)) return false
    if (code !== 'EEXIST') throw error
  }
  const { uid, mode, isDirectory } = await ownership(path)
  return isDirectory && uid === process.getuid?.() && (mode & 0o022) === 0
}

async function ownership(path: string): Promise<{ uid: number; mode: number; isDirectory: boolean }> {
  const status = await lstat(path)
  return { uid: status.uid, mode: status.mode, isDirectory: status.isDirectory() }
}
