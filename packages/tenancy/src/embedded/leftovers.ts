import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { limits } from '../limits.ts'
import { failure, systemCode } from './failure.ts'
import { findProcess, isAlive } from './process-table.ts'

/** A setting on the server's command line that names the process that started it. */
export const OWNER_SETTING = 'quickscale_embedded.owner_pid'

/** Above every system's highest pid: kill() says ESRCH, always. */
const NO_PROCESS = 999_999_999

/**
 * Makes sure that no server runs on the data directory and that none is wrongly believed to.
 *
 * `postmaster.pid` tells which process to look at, that process's command line whether it is a server of this very
 * data directory, and its parent whether the one who started it still lives: children of a dead process are handed
 * to another parent. So a recycled pid is never mistaken for ours, and never signalled.
 *
 * @returns after stopping a server whose owner died
 * @throws QuickScaleError `EMBEDDED_SERVER_FAILED` when the owner lives: two owners of one server could not both
 * decide when it stops.
 */
export async function settleLeftovers(
  dataDirectory: string,
  onProgress: (message: string) => void,
): Promise<void> {
  const pidFile = join(dataDirectory, 'postmaster.pid')
  const content = await readPidFile(pidFile)
  if (content === null) return
  const [firstLine = '', , , port] = content.split('\n')
  const pid = Math.abs(Number.parseInt(firstLine, 10))
  const server = await findServer(pid, dataDirectory)
  if (server === null) {
    // A dead pid PostgreSQL handles by itself.
    if (isAlive(pid)) await disownPid(pidFile, content)
    return
  }
  if (server.ownerAlive) {
    throw failure(
      `process ${server.ownerPid} already runs it on port ${port} (server process ${pid}); stop that process first`,
    )
  }
  onProgress(`stopping the server (process ${pid}) that process ${server.ownerPid} left behind`)
  await stopOrphan(pid, dataDirectory)
}

async function readPidFile(path: string): Promise<string | null> {
  // PostgreSQL creates the file first and writes it next; one that stays empty is what a crash between the two left.
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const content = await readFile(path, 'utf8')
      if (content !== '') return content
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null
      throw error
    }
    await pause(limits.embeddedPidFileWaitMs)
  }
  await rm(path, { force: true })
  return null
}

interface FoundServer {
  readonly ownerPid: number
  readonly ownerAlive: boolean
}

async function findServer(pid: number, dataDirectory: string): Promise<FoundServer | null> {
  const entry = await findProcess(pid)
  if (!entry?.command.includes(` -D ${dataDirectory} `)) return null
  const ownerPid = Number(new RegExp(`${OWNER_SETTING}=(\\d+)`).exec(entry.command)?.[1])
  return { ownerPid, ownerAlive: entry.parentPid === ownerPid }
}

/**
 * PostgreSQL refuses to start while any process has the pid in the file, which after a reboot may be anyone. The pid
 * is replaced, not the file removed: its shared memory key lets PostgreSQL see backends that outlived their server.
 */
async function disownPid(pidFile: string, content: string): Promise<void> {
  const replacement = `${pidFile}.quickscale`
  await writeFile(replacement, content.replace(/^-?\d+/, String(NO_PROCESS)))
  await rename(replacement, pidFile)
}

async function stopOrphan(pid: number, dataDirectory: string): Promise<void> {
  // Fast, then immediate shutdown (replayed from the log at the next start), then the end without one.
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if ((await findServer(pid, dataDirectory)) === null) return
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (systemCode(error) === 'ESRCH') return
      throw error
    }
    const deadline = Date.now() + limits.embeddedSignalWaitMs
    while (Date.now() < deadline) {
      if ((await findServer(pid, dataDirectory)) === null) return
      await pause(limits.embeddedPollMs)
    }
  }
  throw failure(`process ${pid} left behind in ${dataDirectory} cannot be stopped`)
}
