import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { systemCode } from './failure.ts'

const run = promisify(execFile)

export interface ProcessEntry {
  readonly parentPid: number
  /** Arguments joined by blanks; empty for a process that ended and was not yet collected by its parent. */
  readonly command: string
}

/** What the system knows about a process; null when there is none. */
export function findProcess(pid: number): Promise<ProcessEntry | null> {
  // Slim container images have /proc but no `ps`; macOS has `ps` but no /proc.
  return process.platform === 'linux' ? readProc(pid) : askPs(pid)
}

/** Whether any process has this number, ours or not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCode(error) === 'EPERM'
  }
}

async function readProc(pid: number): Promise<ProcessEntry | null> {
  try {
    const [stat, command] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile(`/proc/${pid}/cmdline`, 'utf8'),
    ])
    // "pid (name) state ppid …", where the name may hold blanks and parentheses.
    const parentPid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    return { parentPid, command: command.replaceAll('\0', ' ') }
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ESRCH') return null
    throw error
  }
}

async function askPs(pid: number): Promise<ProcessEntry | null> {
  try {
    const { stdout } = await run('ps', ['-ww', '-o', 'ppid=,command=', '-p', String(pid)])
    const [, parentPid, command] = /^\s*(\d+)\s+(.*)$/m.exec(stdout) ?? []
    return parentPid === undefined ? null : { parentPid: Number(parentPid), command: `${command} ` }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 1) return null
    throw error
  }
}
