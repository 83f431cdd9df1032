import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What a command line needs to work on the demo beside it. */
export interface DemoConfig {
  readonly installation: string
  readonly migrations: readonly string[]
  /** Left out, like the URL, when it came from the environment: a secret of somebody's own is not written down. */
  readonly masterKey?: string
  readonly databaseUrl?: string
}

/**
 * Keeps the demo's configuration where `quickscale --config DIRECTORY` finds it, for this user only; the embedded server has
 * another port after each start.
 */
export async function keepConfig(directory: string, config: DemoConfig): Promise<void> {
  const file = join(directory, 'quickscale.config.json')
  // A file that is there already would keep its mode.
  const next = `${file}.${process.pid}`
  await rm(next, { force: true })
  await writeFile(next, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  await rename(next, file)
}
