import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Commands, movers, examples and benchmarks are processes of their own, some hundred in a run: each compiles the same
 * modules. Node keeps what it compiled where this variable says, by the text it was compiled from; nothing outlives
 * the run. A directory named like that of the run's server, so that the next run removes it after a kill.
 */
export default async function keepCompiled(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), `quickscale-test-run-${process.pid}-compiled-`))
  process.env.NODE_COMPILE_CACHE = directory
  // Workers write down what they compiled while they end.
  return () => rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
}
