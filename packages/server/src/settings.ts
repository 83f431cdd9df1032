import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What the demo's environment says. */
export interface Settings {
  /** Of the embedded server's data and the master key. */
  readonly directory: string
  /** Another server to use; null for the embedded one. */
  readonly databaseUrl: string | null
  readonly masterKey: string
  /** The master key is the one of the directory, and not the environment's. */
  readonly masterKeyIsKept: boolean
  readonly port: number
  /** PORT was given: no other one will do. */
  readonly portIsFixed: boolean
}

const DEFAULT_PORT = 3000
const KEY_BYTES = 32

/**
 * Reads QUICKSCALE_DATABASE_URL, QUICKSCALE_MASTER_KEY and PORT. Without a master key in the environment one is made
 * and kept in the directory, for this user only.
 */
export function readSettings(environment: NodeJS.ProcessEnv, directory: string): Settings {
  const port = environment.PORT || undefined
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
    throw new Error('PORT must be a number from 1 to 65535')
  }
  return {
    directory,
    databaseUrl: environment.QUICKSCALE_DATABASE_URL || null,
    masterKey: environment.QUICKSCALE_MASTER_KEY || keepMasterKey(directory),
    masterKeyIsKept: !environment.QUICKSCALE_MASTER_KEY,
    port: port === undefined ? DEFAULT_PORT : Number(port),
    portIsFixed: port !== undefined,
  }
}

function keepMasterKey(directory: string): string {
  const file = join(directory, 'master-key')
  mkdirSync(directory, { recursive: true, mode: 0o755 })
  try {
    writeFileSync(file, `${randomBytes(KEY_BYTES).toString('base64')}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'EEXIST') throw error
  }
  if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) {
    throw new Error(`${file} can be read by other users; run: chmod 600 '${file}'`)
  }
  return readFileSync(file, 'utf8').trim()
}
