import { chmod, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isAlive } from './process-table.ts'

// The maker's pid is in the name, so that the next start can tell what a crash left from work in progress.
const SCRATCH_NAME = /^scratch-(\d+)-/

/** A directory to prepare something in, before one rename makes all of it visible. */
export async function makeScratch(parent: string): Promise<string> {
  const path = await mkdtemp(join(parent, `scratch-${process.pid}-`))
  await chmod(path, 0o755)
  return path
}

/** Removes the scratch directories of processes that are gone. */
export async function removeAbandonedScratch(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const maker = SCRATCH_NAME.exec(name)?.[1]
    if (maker !== undefined && !isAlive(Number(maker))) await remove(join(parent, name))
  }
}

/** Removes a directory so that a crash half way leaves scratch, not half a directory under its own name. */
export async function removeWhole(parent: string, path: string): Promise<void> {
  const scratch = await makeScratch(parent)
  await rename(path, join(scratch, 'removed'))
  await remove(scratch)
}

export function remove(path: string): Promise<void> {
  // Retried because an initdb or a backend outliving its parent may still be adding files.
  return rm(path, { recursive: true, force: true, maxRetries: 5 })
}
