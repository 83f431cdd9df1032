import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'

/** A PgBouncer in transaction mode. */
export interface Pooler {
  readonly url: string
  stop(): Promise<void>
}

/** Whether the PgBouncer that is installed knows prepared statements: from 1.21 on. */
export function knowsPreparedStatements(): boolean {
  const version = /(\d+)\.(\d+)/.exec(execFileSync('pgbouncer', ['--version'], { encoding: 'utf8' }))
  return Number(version?.[1]) > 1 || Number(version?.[2]) >= 21
}

/** @param logins the roles that may pass; one backend for each role and database */
export async function startPgBouncer(
  serverUrl: string,
  logins: readonly Pick<pg.Client, 'user' | 'password'>[],
): Promise<Pooler> {
  const directory = await mkdtemp(join(tmpdir(), 'quickscale-pgbouncer-'))
  // It refuses to run as root, and mkdtemp lets nobody else in.
  await chmod(directory, 0o755)
  const server = new URL(serverUrl)
  const port = await freePort()
  const users = logins.map(({ user, password }) => `"${user}" "${password}"\n`)
  await writeFile(join(directory, 'users.txt'), users.join(''))
  await writeFile(
    join(directory, 'pgbouncer.ini'),
    `[databases]
* = host=${server.hostname} port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(directory, 'users.txt')}
pool_mode = transaction
default_pool_size = 1
max_client_conn = 200
${knowsPreparedStatements() ? 'max_prepared_statements = 100' : ''}
`,
  )
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn('pgbouncer', ['-q', ...asNobody, join(directory, 'pgbouncer.ini')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await once(child, 'spawn')
  await untilReachable(port)
  return {
    url: `postgres://127.0.0.1:${port}/`,
    stop: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      await rm(directory, { recursive: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function untilReachable(port: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const socket = net.connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch (error) {
      if (attempt === 200) throw error
      await sleep(50)
    } finally {
      socket.destroy()
    }
  }
}
