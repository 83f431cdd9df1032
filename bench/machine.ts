import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import type { RunServer } from '../test/support/server.ts'
import { asAdministrator } from './installation.ts'

/** What the numbers depend on. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly node: string
  readonly postgres: string
  /** Who started the server; the embedded one does not wait for the disk. */
  readonly server: RunServer['kind']
  readonly fsync: string
  readonly synchronousCommit: string
  readonly sharedBuffers: string
  /** Runnable processes over the last minute when the run began, other people's work included. */
  readonly loadAverage: number
}

export async function describeMachine(server: RunServer): Promise<Machine> {
  const loadAverage = loadavg()[0] ?? 0
  const settings = await asAdministrator(server.url, async (client) => {
    const { rows } = await client.query(
      `select current_setting('server_version') as version, current_setting('fsync') as fsync,
              current_setting('synchronous_commit') as synchronous_commit,
              current_setting('shared_buffers') as shared_buffers`,
    )
    return rows[0]
  })
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.versions.node,
    postgres: settings.version,
    server: server.kind,
    fsync: settings.fsync,
    synchronousCommit: settings.synchronous_commit,
    sharedBuffers: settings.shared_buffers,
    loadAverage: Math.round(loadAverage * 100) / 100,
  }
}
