import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findServerAccount } from '../src/embedded/account.ts'
import { findBinaries, makeReachable } from '../src/embedded/binaries.ts'
import {
  type EmbeddedServer,
  type EmbeddedServerOptions,
  startEmbeddedServer,
} from '../src/embedded/index.ts'
import { settleLeftovers } from '../src/embedded/leftovers.ts'
import { findProcess } from '../src/embedded/process-table.ts'

let directory: string
let servers: EmbeddedServer[]
let owners: ChildProcess[]

beforeEach(async () => {
  directory = await openDirectory()
  servers = []
  owners = []
})

afterEach(async () => {
  for (const owner of owners) {
    if (owner.exitCode !== null || owner.signalCode !== null) continue
    owner.kill('SIGKILL')
    await once(owner, 'exit')
  }
  await Promise.all(servers.map((server) => server.stop()))
  await settleLeftovers(join(directory, 'postgres-data'), () => undefined)
  await rm(directory, { recursive: true, force: true })
})

/** mkdtemp lets only its maker in; the server's user must pass. */
async function openDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'quickscale-embedded-test-'))
  await chmod(path, 0o711)
  return path
}

async function start(options: Partial<EmbeddedServerOptions> = {}): Promise<EmbeddedServer> {
  const server = await startEmbeddedServer({ directory, ...options })
  servers.push(server)
  return server
}

async function ask<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

async function serverPid(server: { dataDirectory: string }): Promise<number> {
  return Number((await readFile(join(server.dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0])
}

const log = () => readFile(join(directory, 'postgres.log'), 'utf8')

interface Owner {
  readonly child: ChildProcess
  readonly pid: number
  readonly server: { url: string; dataDirectory: string }
}

const entry = new URL('../src/embedded/index.ts', import.meta.url).href

/** Another Node process, in a process group of its own, that starts the server, does `afterwards` and then says so. */
function spawnOwner(afterwards: string): ChildProcess {
  const script = `
    const { startEmbeddedServer } = await import(${JSON.stringify(entry)})
    const server = await startEmbeddedServer({ directory: ${JSON.stringify(directory)} })
    ${afterwards}
    process.stdout.write(JSON.stringify(server) + '\\n')`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  owners.push(child)
  return child
}

async function startInOwner(afterwards: string): Promise<Owner> {
  const child = spawnOwner(afterwards)
  let output = ''
  for await (const chunk of child.stdout ?? []) {
    output += String(chunk)
    if (output.includes('\n')) break
  }
  const server: Owner['server'] = JSON.parse(output)
  if (child.pid === undefined) throw new Error('the owner has no pid')
  return { child, pid: child.pid, server }
}

const KEEP_RUNNING = 'setInterval(() => undefined, 1000)'

async function isServerRunning(pid: number, dataDirectory: string): Promise<boolean> {
  return (await findProcess(pid))?.command.includes(dataDirectory) ?? false
}

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    if (await condition()) return
    await pause(10)
  }
  throw new Error('it did not happen within ten seconds')
}

test('it starts PostgreSQL 18 with the settings moves need, on the loopback address only', async () => {
  const server = await start()
  const [row] = await ask(
    server.url,
    `select current_setting('server_version_num')::int / 10000 as version,
            current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets,
            current_setting('wal_level') as wal_level, current_setting('max_connections') as max_connections,
            current_setting('fsync') as fsync, current_setting('log_parameter_max_length') as logged_parameters,
            current_setting('server_encoding') as encoding, datlocprovider as provider, datlocale as locale
       from pg_database where datname = 'postgres'`,
  )
  expect(row).toEqual({
    version: 18,
    addresses: '127.0.0.1',
    sockets: '',
    wal_level: 'logical',
    max_connections: '200',
    fsync: 'on',
    logged_parameters: '0',
    encoding: 'UTF8',
    provider: 'b',
    locale: 'C.UTF-8',
  })
  expect(new URL(server.url).port).toBe(String(server.port))
})

test('it keeps a random password in a file for the owner only, and refuses another one', async () => {
  const server = await start()
  const file = join(directory, 'postgres-password')
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const { password } = new URL(server.url)
  expect(await readFile(file, 'utf8')).toBe(password)
  expect(password.length).toBeGreaterThanOrEqual(32)
  await expect(ask(server.url.replace(password, 'guess'), 'select 1')).rejects.toMatchObject({
    code: '28P01',
  })
})

test('it stops completely, more than once, and keeps data and password for the next start', async () => {
  const first = await start()
  const pid = await serverPid(first)
  await ask(first.url, 'create table kept as select 42 as answer')
  await Promise.all([first.stop(), first.stop()])
  expect(await isServerRunning(pid, first.dataDirectory)).toBe(false)
  await expect(ask(first.url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  const second = await start()
  expect(await ask(second.url, 'select answer from kept')).toEqual([{ answer: 42 }])
  expect(new URL(second.url).password).toBe(new URL(first.url).password)
})

test('an ephemeral server does without fsync and leaves nothing behind', async () => {
  const server = await start({ ephemeral: true })
  expect(await ask(server.url, 'show fsync')).toEqual([{ fsync: 'off' }])
  await server.stop()
  expect(await readdir(directory)).toEqual([])
})

test('a second start says who runs the server, and leaves that one alone', async () => {
  const owner = await startInOwner(KEEP_RUNNING)
  const second = start()
  await expect(second).rejects.toMatchObject({ code: 'EMBEDDED_SERVER_FAILED' })
  await expect(second).rejects.toThrow(
    `process ${owner.pid} already runs it on port ${new URL(owner.server.url).port}`,
  )
  expect(await ask(owner.server.url, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('of simultaneous first starts exactly one gets the server', async () => {
  const results = await Promise.allSettled([start(), start(), start()])
  const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  expect(started).toHaveLength(1)
  expect(refused.map((error) => error.message)).toEqual(
    Array(2).fill(expect.stringContaining('already runs it')),
  )
  expect(await ask(started[0]?.url ?? '', 'select 1 as one')).toEqual([{ one: 1 }])
})

test('after kill -9 of the server, stop() returns and the next start has every committed row', async () => {
  const killed = await start()
  await ask(killed.url, 'create table kept as select 42 as answer')
  process.kill(await serverPid(killed), 'SIGKILL')
  await killed.stop()
  const next = await start()
  expect(await ask(next.url, 'select answer from kept')).toEqual([{ answer: 42 }])
  expect(await log()).toContain('database system was not properly shut down')
})

test('after kill -9 of its owner, the next start stops the orphan and takes over', async () => {
  const owner = await startInOwner(KEEP_RUNNING)
  const orphan = await serverPid(owner.server)
  await ask(owner.server.url, 'create table kept as select 42 as answer')
  owner.child.kill('SIGKILL')
  await once(owner.child, 'exit')
  expect(await isServerRunning(orphan, owner.server.dataDirectory)).toBe(true)
  const steps: string[] = []
  const next = await start({ onProgress: (message) => steps.push(message) })
  expect(steps).toContain(`stopping the server (process ${orphan}) that process ${owner.pid} left behind`)
  expect(await isServerRunning(orphan, next.dataDirectory)).toBe(false)
  expect(await ask(next.url, 'select answer from kept')).toEqual([{ answer: 42 }])
  expect(await log()).not.toContain('not properly shut down')
})

test('after kill -9 half way through initdb, the next start begins afresh and removes the rubbish', async () => {
  const child = spawnOwner(KEEP_RUNNING)
  const scratch = async () => (await readdir(directory)).find((name) => name.startsWith('scratch-')) ?? 'none'
  const begun = join('data', 'base')
  await waitUntil(
    async () => (await readdir(join(directory, await scratch(), begun)).catch(() => [])).length > 0,
  )
  child.kill('SIGKILL')
  await once(child, 'exit')
  expect(await readdir(directory)).not.toContain('postgres-data')
  const server = await start()
  expect(await ask(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
  expect(await scratch()).toBe('none')
})

test('a stale lock file whose pid belongs to somebody else by now does not stop a start', async () => {
  const first = await start()
  const lockFile = join(first.dataDirectory, 'postmaster.pid')
  const content = await readFile(lockFile, 'utf8')
  process.kill(await serverPid(first), 'SIGKILL')
  await first.stop()
  // PostgreSQL takes a living process of its own user for the server.
  const account = await findServerAccount(() => undefined)
  const stranger = spawn('sleep', ['60'], { ...account, stdio: 'ignore' })
  owners.push(stranger)
  await writeFile(lockFile, content.replace(/^\d+/, String(stranger.pid)))
  const next = await start()
  expect(await ask(next.url, 'select 1 as one')).toEqual([{ one: 1 }])
  expect(stranger.exitCode ?? stranger.signalCode).toBe(null)
})

test('an empty lock file does not stop a start', async () => {
  const first = await start()
  await first.stop()
  await writeFile(join(first.dataDirectory, 'postmaster.pid'), '')
  const next = await start()
  expect(await ask(next.url, 'select 1 as one')).toEqual([{ one: 1 }])
})

test('Ctrl-C reaches owner and server, and both end cleanly', async () => {
  const owner = await startInOwner(`
    ${KEEP_RUNNING}
    process.once('SIGINT', async () => { await server.stop(); process.exit(7) })`)
  const pid = await serverPid(owner.server)
  const exited = once(owner.child, 'exit')
  process.kill(-owner.pid, 'SIGINT')
  expect(await exited).toEqual([7, null])
  expect(await isServerRunning(pid, owner.server.dataDirectory)).toBe(false)
  await start()
  expect(await log()).not.toContain('not properly shut down')
})

test('Ctrl-C ends the server of an owner that does not listen to it', async () => {
  const owner = await startInOwner(KEEP_RUNNING)
  const pid = await serverPid(owner.server)
  process.kill(-owner.pid, 'SIGINT')
  await waitUntil(async () => !(await isServerRunning(pid, owner.server.dataDirectory)))
  expect(await log()).toContain('database system is shut down')
})

test('a script that ends without stop() takes its server along', async () => {
  const owner = await startInOwner('')
  await waitUntil(async () => (await log()).includes('database system is shut down'))
  expect(owner.child.signalCode).toBe(null)
})

test('a failing start names the reason and the log', async () => {
  const server = await start()
  await server.stop()
  await writeFile(join(server.dataDirectory, 'PG_VERSION'), '17\n')
  const failing = start()
  await expect(failing).rejects.toMatchObject({ code: 'EMBEDDED_SERVER_FAILED' })
  await expect(failing).rejects.toThrow('FATAL:  database files are incompatible with server')
  await expect(failing).rejects.toThrow(join(directory, 'postgres.log'))
})

test('a given port that is taken is an error, not another port', async () => {
  const occupant = createServer().listen(0, '127.0.0.1')
  await once(occupant, 'listening')
  const address = occupant.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await expect(start({ port })).rejects.toMatchObject({ code: 'EMBEDDED_SERVER_FAILED' })
  occupant.close()
})

test('a data directory without its password is never opened by guessing', async () => {
  const server = await start()
  await server.stop()
  await rm(join(directory, 'postgres-password'))
  await expect(start()).rejects.toThrow('postgres-password is gone; restore it, or remove')
})

test("below a directory closed to the server's user, the data goes elsewhere and a note says where", async () => {
  await chmod(directory, 0o700)
  const closed = join(directory, '.quickscale')
  const server = await start({ directory: closed, ephemeral: true })
  expect(await ask(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
  const asRoot = process.getuid?.() === 0
  expect(server.dataDirectory.startsWith(closed)).toBe(!asRoot)
  const note = await readFile(join(closed, 'postgres-data-location.txt'), 'utf8').catch(() => 'no note')
  expect(note.includes(server.dataDirectory)).toBe(asRoot)
  await server.stop()
  expect(await readdir(closed)).toEqual([])
  await expect(access(server.dataDirectory)).rejects.toMatchObject({ code: 'ENOENT' })
})

test("removing the project's directory starts afresh, also when the data was elsewhere", async () => {
  await chmod(directory, 0o700)
  const closed = join(directory, '.quickscale')
  // Ephemeral, so that the data is kept below the temporary directory; killed, so that it stays there.
  const first = await startEmbeddedServer({ directory: closed, ephemeral: true })
  await ask(first.url, 'create table kept as select 42 as answer')
  const pid = await serverPid(first)
  process.kill(pid, 'SIGKILL')
  await waitUntil(async () => (await findProcess(pid)) === null)
  await rm(closed, { recursive: true })
  const second = await start({ directory: closed, ephemeral: true })
  expect(await ask(second.url, `select to_regclass('kept') as kept`)).toEqual([{ kept: null }])
})

test("executables closed to the server's user are copied where it can run them", async () => {
  await chmod(directory, 0o700)
  const packaged = await findBinaries()
  const closed = join(directory, 'package')
  await mkdir(closed)
  await cp(join(packaged.postgres, '../../..'), closed, { recursive: true, verbatimSymlinks: true })
  const inside = { initdb: join(closed, 'native/bin/initdb'), postgres: join(closed, 'native/bin/postgres') }
  const account = await findServerAccount(() => undefined)
  const reachable = await makeReachable(inside, { account, ephemeral: true })
  const version = spawn(reachable.postgres, ['--version'], { ...account, cwd: '/', stdio: 'ignore' })
  expect(await once(version, 'exit')).toEqual([0, null])
  expect(reachable.postgres === inside.postgres).toBe(account === null)
})
