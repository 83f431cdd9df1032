import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TenancyConfig } from '../../src/index.ts'

const script = fileURLToPath(new URL('./create-tenants.ts', import.meta.url))

/** Runs create-tenants.ts in a process of its own, and kills that a while after it has begun. */
export async function killAmid(
  config: TenancyConfig,
  slugs: readonly string[],
  { afterMs, lanes = 1, broughtUrl = '' }: { afterMs: number; lanes?: number; broughtUrl?: string },
): Promise<void> {
  const child = spawn(
    process.execPath,
    ['--conditions=quickscale-source', script, JSON.stringify(config), String(lanes), ...slugs],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, BROUGHT_URL: broughtUrl } },
  )
  // It may be done before the kill.
  const gone = once(child, 'exit')
  await Promise.race([once(child.stdout, 'data'), gone])
  await sleep(afterMs)
  child.kill('SIGKILL')
  await gone
}
