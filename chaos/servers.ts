import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { type EmbeddedServer, startEmbeddedServer } from '../packages/tenancy/src/embedded/index.ts'

export type ServerName = 'primary' | 'second'

/** A PostgreSQL server of a chaos run's own, which can be killed. */
export class DoomedServer {
  readonly name: ServerName
  readonly #directory: string
  #running: EmbeddedServer

  private constructor(name: ServerName, directory: string, running: EmbeddedServer) {
    this.name = name
    this.#directory = directory
    this.#running = running
  }

  /** Commits are as durable as with the defaults, but for a crash of the machine. */
  static async start(name: ServerName): Promise<DoomedServer> {
    // The name by which the next run of the tests finds what a killed one has left.
    const directory = await mkdtemp(join(tmpdir(), `quickscale-test-run-${process.pid}-`))
    await chmod(directory, 0o711)
    const running = await startEmbeddedServer({ directory })
    await withClient(running.url, async (client) => {
      await client.query('alter system set fsync = off')
      await client.query('select pg_reload_conf()')
    })
    return new DoomedServer(name, directory, running)
  }

  /** Administrator's URL of one of its databases. */
  urlOf(database = 'postgres'): string {
    const url = new URL(this.#running.url)
    url.pathname = `/${encodeURIComponent(database)}`
    return url.href
  }

  get port(): number {
    return this.#running.port
  }

  /** Kill -9 of the postmaster, and a start of the same data after a while. */
  async crash(downMs: number): Promise<void> {
    const [pid = ''] = (await readFile(join(this.#running.dataDirectory, 'postmaster.pid'), 'utf8')).split(
      '\n',
    )
    process.kill(Number(pid), 'SIGKILL')
    await sleep(downMs)
    this.#running = await startEmbeddedServer({ directory: this.#directory, port: this.port })
  }

  async close(): Promise<void> {
    await this.#running.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }
}

/** Runs `work` on a connection of its own. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'chaos' })
  // A server that is killed ends connections of ours too; the query on them says so.
  client.on('error', () => undefined)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
