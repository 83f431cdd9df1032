// A fenced block whose info string goes on after the language is a file of its document's project:
//
//   ```sql migrations/0001_notes.sql    is written
//   ```ts notes.ts                      is written, type-checked and run
//   ```text notes.ts                    is what notes.ts prints
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startEmbeddedServer } from '../packages/tenancy/src/embedded/index.ts'
import { findFiles, readText } from './support/source-files.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')

interface Block {
  readonly language: string
  /** Path in the document's project; empty for a block that is only shown. */
  readonly file: string
  readonly text: string
}

function readBlocks(markdown: string): readonly Block[] {
  return [...markdown.matchAll(/^```(\w+)(?: +(\S+))?\n(.*?)^```$/gms)].map(
    ([, language = '', file = '', text = '']) => ({ language, file, text }),
  )
}

const documents = findFiles('{*.md,docs/**/*.md}').map((path) => ({
  path,
  blocks: readBlocks(readText(path)),
}))

const runnable = documents.filter(({ blocks }) => blocks.some(({ language }) => language === 'ts'))
/** Their examples prepare a server's data directory themselves; the others find one that was prepared once for all. */
const fresh = ['docs/guides/getting-started.md', 'docs/guides/embedded-server.md']
let projects: string
beforeAll(async () => {
  projects = await makeProjects()
  await (await startEmbeddedServer({ directory: join(projects, 'prepared') })).stop()
})
afterAll(() => rm(projects, { recursive: true, force: true, maxRetries: 5 }))

describe('the documents', () => {
  test('show no TypeScript that is not run', () => {
    const shown = documents.flatMap(({ path, blocks }) =>
      blocks.filter(({ language, file }) => language === 'ts' && file === '').map(({ text }) => [path, text]),
    )
    expect(shown).toEqual([])
  })

  // All at once: most of the work is to read the library.
  test('hold examples that are well typed', { timeout: 240_000 }, async () => {
    await run(join(root, 'node_modules/.bin/tsc'), ['--project', projects]).catch(failWithOutput)
  })

  test.each(runnable)(
    'hold examples that do what they say: $path',
    { timeout: 240_000 },
    async ({ path, blocks }) => {
      const masterKey = randomBytes(32).toString('base64')
      if (!fresh.includes(path)) {
        await run('cp', ['-a', join(projects, 'prepared'), join(projects, projectOf(path), '.quickscale')])
      }
      for (const { file } of blocks.filter(({ language }) => language === 'ts')) {
        const expected = blocks.find((block) => block.language === 'text' && block.file === file)?.text
        const printed = await runFile(join(projects, projectOf(path)), file, masterKey)
        if (expected !== undefined) expect(printed, file).toBe(expected)
      }
    },
  )
})

/** The directory of a document's project. */
function projectOf(path: string): string {
  return path.replaceAll('/', '-')
}

async function makeProjects(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'quickscale-docs-'))
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  const files = [
    { file: 'package.json', text: JSON.stringify({ type: 'module' }) },
    {
      file: 'tsconfig.json',
      text: JSON.stringify({ extends: join(root, 'tsconfig.json'), include: ['*/*.ts'] }),
    },
    ...runnable.flatMap(({ path, blocks }) =>
      blocks
        .filter(({ language, file }) => language !== 'text' && file !== '')
        .map(({ file, text }) => ({ file: join(projectOf(path), file), text })),
    ),
  ]
  for (const { file, text } of files) {
    await mkdir(join(directory, dirname(file)), { recursive: true })
    await writeFile(join(directory, file), text)
  }
  // The embedded server runs as user postgres when the tests run as root, and mkdtemp lets nobody else in.
  for (const path of ['', ...runnable.map(({ path }) => projectOf(path))])
    await chmod(join(directory, path), 0o711)
  return directory
}

/** Without QUICKSCALE_DATABASE_URL: an example makes its installation on a server of its own. */
async function runFile(directory: string, file: string, masterKey: string): Promise<string> {
  const { QUICKSCALE_DATABASE_URL: _, ...environment } = process.env
  const { stdout } = await run(process.execPath, ['--conditions=quickscale-source', file], {
    cwd: directory,
    env: { ...environment, NO_COLOR: '1', QUICKSCALE_MASTER_KEY: masterKey },
  }).catch(failWithOutput)
  return stdout
}

/** What a compiler or a program has to say about its failure is in its output. */
function failWithOutput(error: Error & { stdout?: string; stderr?: string }): never {
  throw new Error(`${error.message}\n${error.stdout ?? ''}${error.stderr ?? ''}`, { cause: error })
}
