import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

const bin = fileURLToPath(new URL('../bin/quickscale.js', import.meta.url))

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quickscale-command-'))
  // For root the server runs as user postgres, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
})
afterAll(async () => {
  await rm(directory, { recursive: true })
})

interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

function quickscale(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [bin, ...args], (_, stdout, stderr) =>
      resolve({ status: child.exitCode, stdout, stderr }),
    )
  })
}

async function script(text: string): Promise<string> {
  const path = join(directory, 'script.sql')
  await writeFile(path, text)
  return path
}

async function check(text: string, ...flags: string[]): Promise<Outcome> {
  return await quickscale('check', await script(text), '--server', inject('databaseUrl'), ...flags)
}

const SCHEMA =
  'create table t (id integer primary key, a text check (a <> $$x$$)); insert into t values (1, $$a$$);'

describe('quickscale', () => {
  test('says its version and its commands', async () => {
    expect(await quickscale('--version')).toEqual({ status: 0, stdout: '0.1.0\n', stderr: '' })
    expect((await quickscale('--help')).stdout).toContain('check')
    expect((await quickscale('check', '--help')).stdout).toContain('Exit codes')
  })

  test('says in JSON too that a command line, a script or a server cannot be used', async () => {
    const path = await script(SCHEMA)
    const wrong: readonly (readonly [code: string, ...args: string[]])[] = [
      ['COMMAND_INVALID', 'move', 'acme'],
      ['COMMAND_INVALID', 'move', 'acme', '--to', 'nowhere'],
      ['COMMAND_INVALID', 'server', 'list', 'surplus'],
      ['EISDIR', 'check', directory, '--server', inject('databaseUrl')],
      ['SERVER_UNREACHABLE', 'check', path, '--server', 'postgres://postgres:hush@127.0.0.1:1/postgres'],
      ['SERVER_UNREACHABLE', 'check', path, '--server', 'hush'],
    ]
    for (const [code, ...args] of wrong) {
      const { status, stdout, stderr } = await quickscale(...args, '--json')
      expect(JSON.parse(stdout), args.join(' ')).toMatchObject({ ok: false, error: { code } })
      expect(status).toBe(2)
      expect(`${stdout}${stderr}`).not.toMatch(/hush|^ {4}at /m)
    }
  })

  test('does not mind a reader that goes away', async () => {
    const child = spawn(process.execPath, [bin, 'move', '--help'])
    child.stdout.destroy()
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
    expect(await once(child, 'close')).toEqual([0, null])
    expect(stderr).toBe('')
  })

  test('refuses what it does not know with 2', async () => {
    expect((await quickscale('chekc')).status).toBe(2)
    expect((await quickscale('check')).status).toBe(2)
    expect((await quickscale('check', 'no such file.sql', '--server', inject('databaseUrl'))).status).toBe(2)
  })
})

describe('quickscale check', () => {
  test('prints nothing but JSON with --json, and ends with 0 when nothing differs', async () => {
    const { status, stdout, stderr } = await check(SCHEMA, '--json')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, original: { tables: 1, rows: 1 } })
  })

  test('prints a report for people with a summary', async () => {
    const { status, stdout } = await check(SCHEMA)
    expect({ status, last: stdout.trim().split('\n').at(-1) }).toEqual({
      status: 0,
      last: 'Tenant-safe under all three strategies: 0 differences, 0 refused, 0 indexes affected.',
    })
  })

  test('ends with 1 and says it when a column cannot be kept', async () => {
    const table = 'create table t (id integer primary key, at oid); create view v as select at from t;'
    const { status, stdout } = await check(table, '--json')
    expect(status).toBe(1)
    const report = JSON.parse(stdout)
    expect(report.refused).toContainEqual(expect.objectContaining({ object: 't.at' }))
    expect(report.strategies.rls.differences).toContainEqual(
      expect.objectContaining({ kind: 'column', object: 'public.t.at' }),
    )
  })

  test.each([
    ['a statement', 'create table t (\n  id integer,\n  wrong nosuchtype\n);', 3],
    [
      'a value',
      'create table t (id integer);\n\ninsert into t\n  values (1), (2);\ninsert into t values (10000000000);',
      5,
    ],
    ['rows', 'create table t (id integer);\ncopy t from stdin;\n1\nx\n\\.\n', 4],
    ['syntax', 'select 1;\n-- fine\ncreat table t ();', 3],
    ['a transaction without end', 'begin;\ncreate table t (id integer);', 1],
    ['a file', "create table t (id integer);\ncopy t from '/etc/passwd';", 2],
    ['a program', "create table t (id integer);\ncopy t from program 'id';", 2],
    ['a second database', '\\connect a\ncreate table t (id integer);\n\\connect b\n', 3],
  ])('ends with 2 and the line of %s that fails', async (_, text, line) => {
    const { status, stdout, stderr } = await check(text, '--json')
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'SCRIPT_UNUSABLE', line } })
    expect(stderr).toContain(`Line ${line} of the script`)
  })

  test('leaves nothing behind when it is interrupted', async () => {
    const path = await script(`${SCHEMA} select pg_sleep(60);`)
    const child = spawn(
      process.execPath,
      ['--conditions=quickscale-source', join(bin, '../../src/main.ts'), 'check', path],
      {
        env: { ...process.env, TMPDIR: directory },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
    const said: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => said.push(chunk))
    await expect
      .poll(() => readdir(directory), { timeout: 30_000 })
      .toContainEqual(expect.stringMatching(/^quickscale-check-/))
    await expect.poll(async () => (await findDatabaseFiles()).length, { timeout: 30_000 }).toBeGreaterThan(0)
    child.kill('SIGINT')
    const [status] = await once(child, 'exit')
    expect(status).toBe(130)
    expect(Buffer.concat(said).toString()).toContain('everything that was made is gone')
    expect(await readdir(directory)).toEqual(['script.sql'])
  })

  /** The directory of the throw-away server, once it is at work. */
  async function findDatabaseFiles(): Promise<string[]> {
    const names = await readdir(directory, { recursive: true })
    return names.filter((name) => name.endsWith('postmaster.pid'))
  }
})
