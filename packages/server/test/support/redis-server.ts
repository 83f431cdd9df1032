import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'

/** A Redis server of a test's own, which keeps nothing. */
export interface RedisServer {
  /** A connected client, which refuses commands at once while the server is away. */
  connect(): Promise<Redis>
  kill(): Promise<void>
  /** Starts it again, empty, where it was. */
  start(): Promise<void>
  /** Ends it and its clients. */
  close(): Promise<void>
}

export async function startRedis(): Promise<RedisServer> {
  const directory = await mkdtemp(join(tmpdir(), 'quickscale-redis-'))
  const path = join(directory, 'socket')
  const clients: Redis[] = []
  const start = async () => {
    const options = ['--port', '0', '--unixsocket', path, '--save', '', '--dir', directory]
    const child = spawn('redis-server', options, { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    // It says so when it listens; an end before that is a failure.
    for await (const chunk of child.stdout) {
      said += String(chunk)
      if (/Ready to accept connections|ready to accept connections at/.test(said)) break
    }
    if (child.exitCode !== null) throw new Error(`redis-server has ended: ${said}`)
    return child
  }
  let child = await start()
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  return {
    async connect() {
      const client = new Redis({ path, enableOfflineQueue: false, retryStrategy: () => 50 })
      // Without a listener each attempt to connect again would be printed.
      client.on('error', () => undefined)
      clients.push(client)
      await once(client, 'ready')
      return client
    },
    kill,
    async start() {
      child = await start()
      await Promise.all(clients.map((client) => once(client, 'ready')))
    },
    async close() {
      for (const client of clients) client.disconnect()
      await kill()
      await rm(directory, { recursive: true })
    },
  }
}
