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
import { describe, expect, test } from 'vitest'
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

describe('the documents', () => {
  test('show no TypeScript that is not run', () => {
    const shown = documents.flatMap(({ path, blocks }) =>
      blocks.filter(({ language, file }) => language === 'ts' && file === '').map(({ text }) => [path, text]),
    )
    expect(shown).toEqual([])
  })

  test.each(documents.filter(({ blocks }) => blocks.some(({ language }) => language === 'ts')))(
    'hold examples that are well typed and do what they say: $path',
    { timeout: 240_000 },
    async ({ blocks }) => {
      const directory = await makeProject(blocks)
      try {
        await run(join(root, 'node_modules/.bin/tsc'), ['--project', directory]).catch(failWithOutput)
        const masterKey = randomBytes(32).toString('base64')
        for (const { file } of blocks.filter(({ language }) => language === 'ts')) {
          const expected = blocks.find((block) => block.language === 'text' && block.file === file)?.text
          const printed = await runFile(directory, file, masterKey)
          if (expected !== undefined) expect(printed, file).toBe(expected)
        }
      } finally {
        await rm(directory, { recursive: true, force: true, maxRetries: 5 })
      }
    },
  )
})

async function makeProject(blocks: readonly Block[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'quickscale-docs-'))
  // The embedded server runs as user postgres when the tests run as root, and mkdtemp lets nobody else in.
  await chmod(directory, 0o711)
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  const files = [
    { file: 'package.json', text: JSON.stringify({ type: 'module' }) },
    {
      file: 'tsconfig.json',
      text: JSON.stringify({ extends: join(root, 'tsconfig.json'), include: ['*.ts'] }),
    },
    ...blocks.filter(({ language, file }) => language !== 'text' && file !== ''),
  ]
  for (const { file, text } of files) {
    await mkdir(join(directory, dirname(file)), { recursive: true })
    await writeFile(join(directory, file), text)
  }
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
