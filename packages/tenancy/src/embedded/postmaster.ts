import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { limits } from '../limits.ts'
import type { ServerAccount } from './account.ts'
import { failure, systemCode } from './failure.ts'
import { programEnvironment } from './initialize.ts'
import { OWNER_SETTING } from './leftovers.ts'

/** Why a server ended before it was ready, as far as another attempt can help. */
export type StartProblem = 'another server' | 'orphaned backends' | 'port taken' | 'other'

/** A server process that accepts connections. */
export interface Postmaster {
  /** Stops the server and waits until it is gone; rolls back what is open. */
  stop(): Promise<void>
}

export interface PostmasterOptions {
  readonly account: ServerAccount
  readonly executable: string
  readonly dataDirectory: string
  readonly logFile: string
  readonly port: number
  readonly ephemeral: boolean
}

/** Starts the server and waits until it is ready. */
export async function startPostmaster(
  options: PostmasterOptions,
): Promise<Postmaster | { problem: StartProblem; reason: string }> {
  const log = await openLog(options.logFile)
  const logStart = (await log.stat()).size
  const child = spawn(options.executable, commandLine(options), {
    ...options.account,
    cwd: '/',
    env: programEnvironment,
    // In our process group on purpose: Ctrl-C reaches the server too, and SIGINT means fast shutdown to it.
    stdio: ['ignore', log.fd, log.fd],
  })
  let spawnError: Error | undefined
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', (error) => {
      spawnError = error
      resolve()
    })
  })
  const stopAtExit = () => child.kill('SIGINT')
  process.once('exit', stopAtExit)
  void exited.then(() => process.off('exit', stopAtExit))
  await log.close()
  const ready = await Promise.race([waitUntilReady(child, options.dataDirectory), exited])
  if (ready === 'ready') {
    // A script that forgets stop() can end; the exit hook above then stops the server.
    child.unref()
    return { stop: () => stopChild(child, exited) }
  }
  if (spawnError !== undefined)
    throw failure(`${options.executable} cannot be run: ${spawnError.message}`, spawnError)
  if (ready === 'too late') await stopChild(child, exited)
  const written = (await readFile(options.logFile)).subarray(logStart).toString('utf8')
  const late = ready === 'too late' ? `not ready after ${limits.embeddedStartMs} ms; ` : ''
  return { problem: classify(written), reason: `${late}${lastWords(written)} (log: ${options.logFile})` }
}

function commandLine(options: PostmasterOptions): readonly string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    wal_level: 'logical',
    max_connections: limits.embeddedConnections,
    // Tokens travel as parameters and must not reach the log.
    log_parameter_max_length: 0,
    [OWNER_SETTING]: process.pid,
    ...(options.ephemeral && { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return ['-D', options.dataDirectory, '-p', String(options.port), ...flags]
}

async function waitUntilReady(
  child: ChildProcess,
  dataDirectory: string,
): Promise<'ready' | 'too late' | 'ended'> {
  const pidFile = join(dataDirectory, 'postmaster.pid')
  const deadline = Date.now() + limits.embeddedStartMs
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return 'ended'
    // What pg_ctl reads: the pid in the first line, the status in the eighth.
    const lines = await readLines(pidFile)
    if (lines[0] === String(child.pid) && lines[7]?.trim() === 'ready') return 'ready'
    await pause(limits.embeddedPollMs)
  }
  return 'too late'
}

async function readLines(path: string): Promise<readonly string[]> {
  try {
    return (await readFile(path, 'utf8')).split('\n')
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

async function stopChild(child: ChildProcess, exited: Promise<void>): Promise<void> {
  child.ref()
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    const patience = new AbortController()
    const timeout = pause(limits.embeddedSignalWaitMs, 'still there', { signal: patience.signal })
    const outcome = await Promise.race([exited, timeout.catch(() => 'interrupted')])
    patience.abort()
    if (outcome !== 'still there') return
  }
}

/** Keeps one earlier log, so that the file cannot grow without bound. */
async function openLog(path: string) {
  const log = await open(path, 'a', 0o600)
  if ((await log.stat()).size < limits.embeddedLogBytes) return log
  await log.close()
  await rename(path, path.replace(/\.log$/, '.previous.log'))
  return open(path, 'a', 0o600)
}

function classify(log: string): StartProblem {
  if (/lock file ".*" already exists/.test(log)) return 'another server'
  if (log.includes('pre-existing shared memory block')) return 'orphaned backends'
  if (log.includes('Address already in use')) return 'port taken'
  return 'other'
}

function lastWords(log: string): string {
  const lines = log.split('\n').filter((line) => line !== '')
  const fatal = lines.findLast((line) => /FATAL|PANIC/.test(line))
  return (fatal ?? lines.at(-1) ?? 'it ended without a word').replace(/^.*?(?=FATAL|PANIC)/, '')
}
