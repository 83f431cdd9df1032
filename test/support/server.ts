import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startEmbeddedServer } from '../../packages/tenancy/src/embedded/index.ts'
import { settleLeftovers } from '../../packages/tenancy/src/embedded/leftovers.ts'
import { isAlive } from '../../packages/tenancy/src/embedded/process-table.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Administrator's URL of the PostgreSQL server of this test run; tests make databases of their own in it. */
    databaseUrl: string
  }
}

const DIRECTORY_NAME = /^quickscale-test-run-(\d+)-/

/** A PostgreSQL server to work with for a while. */
export interface RunServer {
  /** Administrator's URL. */
  readonly url: string
  readonly kind: 'given' | 'embedded'
  /** Stops an embedded server and removes its data. */
  close(): Promise<void>
}

/** One server for the whole run. */
export default async function provideServer(project: TestProject): Promise<() => Promise<void>> {
  const server = await openServer()
  project.provide('databaseUrl', server.url)
  return () => server.close()
}

/** The server that QUICKSCALE_DATABASE_URL names, or an embedded one that leaves nothing behind. */
export async function openServer(): Promise<RunServer> {
  const given = process.env.QUICKSCALE_DATABASE_URL
  if (given) return { url: given, kind: 'given', close: async () => undefined }
  await removeKilledRuns()
  const directory = await mkdtemp(join(tmpdir(), `quickscale-test-run-${process.pid}-`))
  // The server runs as user postgres when the tests run as root, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  const { url, stop } = await startEmbeddedServer({ directory, ephemeral: true })
  return {
    url,
    kind: 'embedded',
    close: async () => {
      await stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Every run has a directory of its own, so nobody but the next run finds the server of one that was killed. */
async function removeKilledRuns(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const runner = DIRECTORY_NAME.exec(name)?.[1]
    if (runner === undefined || isAlive(Number(runner))) continue
    const directory = join(tmpdir(), name)
    await settleLeftovers(join(directory, 'postgres-data'), () => undefined)
    await rm(directory, { recursive: true, force: true })
  }
}
