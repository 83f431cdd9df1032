import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'

/** A migration as its author wrote it: plain SQL for a single tenant. */
export interface MigrationFile {
  /** `crm/0001_contacts.sql`: the directory's label, then the file. */
  readonly name: string
  readonly text: string
  /** SHA-256 of the text, hex. */
  readonly digest: string
}

const fileName = /^\d{4}_[a-z0-9_-]+\.sql$/

/**
 * Reads the migrations of all directories, in order. Not in threads: they are small, and to ask for one takes twenty times as
 * long as to read it.
 *
 * @throws QuickScaleError `CONFIG_INVALID` for a missing directory, a stray file, a number used twice, or two
 *   directories with the same label
 */
export async function readMigrations(directories: readonly string[]): Promise<readonly MigrationFile[]> {
  const labels = new Set<string>()
  const files: MigrationFile[] = []
  for (const directory of directories) {
    const label = labelOf(directory)
    if (labels.has(label)) throw invalid(`two migration directories are both called ${label}`)
    labels.add(label)
    for (const name of listFiles(directory)) {
      const text = readFileSync(join(directory, name), 'utf8')
      files.push({ name: `${label}/${name}`, text, digest: createHash('sha256').update(text).digest('hex') })
    }
  }
  if (files.length > limits.migrationFilesMax)
    throw invalid(`more than ${limits.migrationFilesMax} migrations`)
  return files
}

/** `…/crm/migrations` and `…/migrations/crm` are both called crm. */
function labelOf(directory: string): string {
  return basename(directory) === 'migrations' ? basename(dirname(directory)) : basename(directory)
}

function listFiles(directory: string): string[] {
  const entries = listEntries(directory)
  const names = entries.filter((name) => name.endsWith('.sql')).sort()
  const stray = names.find((name) => !fileName.test(name))
  if (stray !== undefined) throw invalid(`migration ${stray} in ${directory} is not named NNNN_name.sql`)
  const twice = names.find((name, index) => index > 0 && name.slice(0, 4) === names[index - 1]?.slice(0, 4))
  if (twice !== undefined) throw invalid(`number ${twice.slice(0, 4)} is used twice in ${directory}`)
  return names
}

function listEntries(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (cause) {
    throw invalid(`migrations: cannot read ${directory}`, cause)
  }
}

function invalid(problem: string, cause?: unknown): QuickScaleError {
  return new QuickScaleError('CONFIG_INVALID', { problem }, { cause })
}
