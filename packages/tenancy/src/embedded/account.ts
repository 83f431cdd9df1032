import { execFile } from 'node:child_process'
import { delimiter } from 'node:path'
import { promisify } from 'node:util'
import { failure, messageOf } from './failure.ts'

const run = promisify(execFile)

/** The operating system's user the server runs as; null: the one this process runs as. */
export type ServerAccount = { readonly uid: number; readonly gid: number } | null

/** PostgreSQL refuses to run as root, so root's server runs as this user. */
const ACCOUNT_NAME = 'postgres'

/** Finds the account to run the server as, and creates the user when root has none to give. */
export async function findServerAccount(onProgress: (message: string) => void): Promise<ServerAccount> {
  if (process.getuid?.() !== 0) return null
  const existing = await lookUp(ACCOUNT_NAME)
  if (existing !== null) return existing
  onProgress(`creating the system user ${ACCOUNT_NAME}: PostgreSQL refuses to run as root`)
  let problem: unknown
  try {
    await createAccount(ACCOUNT_NAME)
  } catch (error) {
    // Another process may have created it at the same moment; the second look decides.
    problem = error
  }
  const created = await lookUp(ACCOUNT_NAME)
  if (created !== null) return created
  throw failure(`no user ${ACCOUNT_NAME} to run as, and it cannot be created: ${messageOf(problem)}`, problem)
}

/** Whether the account may execute a file, or pass through a directory; asked of the system, so that ACLs count too. */
export async function mayExecute(account: ServerAccount, path: string): Promise<boolean> {
  try {
    await run('test', ['-x', path], { ...account, cwd: '/' })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 1) return false
    throw error
  }
}

async function lookUp(name: string): Promise<ServerAccount> {
  try {
    const [user, group] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    return { uid: Number(user.stdout), gid: Number(group.stdout) }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 1) return null
    throw error
  }
}

async function createAccount(name: string): Promise<void> {
  const path = [process.env.PATH ?? '', '/usr/sbin', '/sbin'].join(delimiter)
  const env = { ...process.env, PATH: path }
  await run('groupadd', ['--system', '--force', name], { env })
  const shell = ['--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin']
  await run('useradd', ['--system', '--gid', name, ...shell, name], { env })
}
