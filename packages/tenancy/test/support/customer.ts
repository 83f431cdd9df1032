import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { type EmbeddedServer, startEmbeddedServer } from '../../src/embedded/index.ts'

/** A PostgreSQL server of a customer's own, with databases to bring. */
export class Customer {
  readonly #server: EmbeddedServer
  readonly #directory: string

  private constructor(server: EmbeddedServer, directory: string) {
    this.#server = server
    this.#directory = directory
  }

  static async open(): Promise<Customer> {
    const directory = await mkdtemp(join(tmpdir(), 'quickscale-customer-test-'))
    // The server may run as another user, and mkdtemp lets nobody else in.
    await chmod(directory, 0o711)
    const customer = new Customer(await startEmbeddedServer({ directory, ephemeral: true }), directory)
    await customer.query(
      "create role owner login createrole bypassrls password 'very-secret'; create role poor login password 'very-secret'",
    )
    return customer
  }

  async close(): Promise<void> {
    await this.#server.stop()
    await rm(this.#directory, { recursive: true, force: true })
  }

  /** An empty database of the role `owner`, and its URL as that role. */
  async offer(options = ''): Promise<{ name: string; url: string }> {
    const name = `crm_${randomBytes(4).toString('hex')}`
    await this.query(`create database ${name} owner owner ${options}`)
    return { name, url: this.urlOf(name, 'owner', 'very-secret') }
  }

  /** Without a role the superuser's. */
  urlOf(database: string, role?: string, password?: string): string {
    const url = new URL(this.#server.url)
    url.pathname = `/${database}`
    if (role !== undefined) url.username = role
    if (password !== undefined) url.password = password
    return url.href
  }

  /** Runs SQL as the superuser. */
  async query(text: string, { database, values = [] }: { database?: string; values?: unknown[] } = {}) {
    const url = database === undefined ? this.#server.url : this.urlOf(database)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      return (await client.query(text, values)).rows
    } finally {
      await client.end()
    }
  }

  /** What PUBLIC may do in a database. */
  async publicRights(database: string): Promise<unknown> {
    const [rights] = await this.query(
      `select has_database_privilege('public', $1, 'connect') as connect,
              has_database_privilege('public', $1, 'temporary') as temporary,
              has_schema_privilege('public', 'public', 'usage') as usage`,
      { database, values: [database] },
    )
    return rights
  }

  /** Schemas of a database, and roles of the library on the server. */
  async traces(database: string): Promise<unknown[]> {
    return await this.query(
      `select nspname::text as name from pg_namespace where nspname !~ '^pg_' and nspname not in ('information_schema', 'public')
       union all select rolname from pg_roles where rolname !~ '^pg_' and rolname not in ('owner', 'poor', current_user) order by 1`,
      { database },
    )
  }
}

/** A way to a server that can be cut. */
export class Line {
  readonly #server: Server
  readonly #sockets: ReadonlySet<Socket>

  private constructor(server: Server, sockets: ReadonlySet<Socket>) {
    this.#server = server
    this.#sockets = sockets
  }

  /** @param url what it leads to */
  static async open(url: string): Promise<Line> {
    const { hostname, port } = new URL(url)
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      const onward = connect(Number(port), hostname)
      for (const [one, other] of [
        [socket, onward],
        [onward, socket],
      ] as const) {
        sockets.add(one)
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
        one.pipe(other)
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Line(server, sockets)
  }

  /** The same URL by way of this line. */
  through(url: string): string {
    const address = this.#server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    return Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(port) }).href
  }

  /** Nobody gets through any more. */
  async cut(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
