import { describe, expect, test } from 'vitest'
import { checks } from '../packages/tenancy/src/doctor/checks.ts'
import { errorDefinitions } from '../packages/tenancy/src/errors.ts'
import { reviewedExtensions } from '../packages/tenancy/src/layout/reviewed-extensions.ts'
import { checkInvariants, readInvariants, readTable } from './support/documents.ts'
import {
  checkCycles,
  checkEngineLayers,
  checkExportMap,
  checkForeignWords,
  checkLengths,
  checkPackageArrows,
  checkSqlNumbers,
} from './support/rules.ts'
import { findFiles, parseSource, readSourceFiles, readText, type SourceFile } from './support/source-files.ts'

const sources = readSourceFiles(
  '{packages/*/src,bench,attack,chaos,model,test/support,packages/*/test/support}/**/*.{ts,tsx}',
)
const tests = readSourceFiles('packages/*/test/**/*.test.ts')

function file(path: string, ...imports: string[]): SourceFile {
  return { path, lineCount: 1, imports, functions: [], testTitles: [] }
}

describe('this repository', () => {
  test('its sources are found', () => {
    expect(sources.map(({ path }) => path)).toContain('packages/tenancy/src/errors.ts')
  })

  test('keeps files and functions short', () => {
    expect(checkLengths(sources)).toEqual([])
  })

  test('keeps the direction of imports inside the engine', () => {
    expect(checkEngineLayers(sources)).toEqual([])
  })

  test('keeps the arrows between packages and modules', () => {
    expect(checkPackageArrows(sources)).toEqual([])
  })

  test('has no import cycles', () => {
    expect(checkCycles(sources)).toEqual([])
  })

  test('numbers its SQL files without gaps', () => {
    expect(checkSqlNumbers(findFiles('packages/*/{sql,migrations}/**/*.sql'))).toEqual([])
  })

  test.each(findFiles('packages/*/package.json'))('exports only files that exist from %s', (path) => {
    const { exports }: { exports?: unknown } = JSON.parse(readText(path))
    const directory = path.slice(0, path.lastIndexOf('/'))
    expect(checkExportMap(exports, new Set(findFiles(`${directory}/src/**`)), directory)).toEqual([])
  })

  test('documents every error with its status, message and remedy, and no other', () => {
    const documented = readTable(readText('docs/reference/errors.md'))
    const declared = Object.entries(errorDefinitions).map(([code, { status, message, remedy }]) => [
      `\`${code}\``,
      String(status),
      message,
      remedy,
    ])
    expect(documented).toEqual(declared)
  })

  test('documents every check of the doctor with its level, message and remedy, and no other', () => {
    const documented = readTable(readText('docs/reference/doctor.md'))
    const declared = Object.entries(checks).map(([check, { level, message, remedy }]) => [
      `\`${check}\``,
      level,
      message,
      remedy,
    ])
    expect(documented).toEqual(declared)
  })

  test('documents every reviewed extension with its review and what is closed, and no other', () => {
    const documented = readTable(readText('docs/reference/extensions.md'))
    const declared = Object.entries(reviewedExtensions).map(([name, { review, closed = [] }]) => [
      `\`${name}\``,
      review,
      closed.map((signature) => `\`${signature}\``).join(', '),
    ])
    expect(documented).toEqual(declared)
  })

  test('proves every invariant with a test that exists, and has no test file of the engine without one', () => {
    const titlesOf = new Map(tests.map(({ path, testTitles }) => [path, testTitles]))
    const invariants = readInvariants(readText('docs/internals/invariants.md'))
    expect(invariants.length).toBeGreaterThan(0)
    expect(checkInvariants(invariants, titlesOf)).toEqual([])
  })

  test('names nothing of the machines it was made on', () => {
    const paths = [...findFiles('**/*.{ts,tsx,js,json,md,sql,yml,yaml,html,css}'), ...findFiles('.ci/*')]
    const violations = paths
      .filter((path) => path !== 'package-lock.json')
      .flatMap((path) => checkForeignWords(path, readText(path)))
    expect(violations).toEqual([])
  })
})

describe('each rule finds what it is for', () => {
  test('a long file and a long function', () => {
    const long = parseSource('a.ts', `function f() {\n${'  f()\n'.repeat(69)}}\n${'\n'.repeat(330)}f()`)
    expect(checkLengths([long])).toEqual([
      'a.ts has 402 lines, 400 are allowed',
      'a.ts:1 is a function of 71 lines, 70 are allowed',
    ])
  })

  test('every kind of import', () => {
    const text = `import { a } from './a.ts'; import type { B } from '../b.ts'; export * from './c/d.ts'
      export type { E } from 'e'; const f = await import('./f.ts'); import './g.ts'; f(a)`
    const { imports } = parseSource('packages/x/src/deep/file.ts', text)
    const inDeep = ['a.ts', 'c/d.ts', 'f.ts', 'g.ts'].map((path) => `packages/x/src/deep/${path}`)
    expect([...imports].sort()).toEqual([...inDeep, 'e', 'packages/x/src/b.ts'].sort())
  })

  test('titles of tests, parametrised ones too', () => {
    const template = 'c $'.concat('{x}')
    const text = `test("a b", f); it.each([1])(\`${template}\`, f); describe("no", f); /x/.test("no")`
    expect(parseSource('a.test.ts', text).testTitles).toEqual(['a b', template])
  })

  test('imports against the direction of the engine', () => {
    const at = (path: string) => `packages/tenancy/src/${path}`
    const upward = [
      file(at('errors.ts'), at('tenancy.ts')),
      file(at('session/a.ts'), at('layout/b.ts')),
      file(at('strategies/a.ts'), at('placements/b.ts')),
      file(at('migrations/apply.ts'), at('migrations/fan-out.ts')),
      file(at('tenancy.ts'), at('embedded/index.ts')),
      file(at('novelty/a.ts')),
    ]
    expect(checkEngineLayers(upward)).toHaveLength(upward.length)
    const downward = [
      file(at('config.ts'), at('errors.ts'), 'zod'),
      file(at('session/a.ts'), at('session/b.ts'), at('limits.ts')),
      file(at('migrations/fan-out.ts'), at('migrations/apply.ts'), at('placements/route.ts')),
      file(at('index.ts'), at('tenancy.ts')),
    ]
    expect(checkEngineLayers(downward)).toEqual([])
  })

  test('imports against the arrows of the packages', () => {
    const wrong = [
      file('packages/tenancy/src/a.ts', '@quickscale/server'),
      file('packages/server/src/a.ts', 'packages/tenancy/src/index.ts'),
      file('packages/server/src/a.ts', '@quickscale/tenancy/src/errors.ts'),
      file('packages/console/src/a.ts', '@quickscale/server'),
      file('packages/server/src/api/a.ts', 'pg'),
      file('packages/server/src/api/a.ts', 'packages/server/src/app.ts'),
      file('packages/server/src/modules/crm/a.ts', 'packages/server/src/modules/blog/index.ts'),
      file('packages/server/src/modules/blog/a.ts', 'packages/server/src/modules/crm/queries.ts'),
      file('packages/novelty/src/a.ts'),
    ]
    expect(checkPackageArrows(wrong)).toHaveLength(wrong.length)
    const right = [
      file('packages/server/src/a.ts', '@quickscale/tenancy', '@quickscale/tenancy/embedded', 'fastify'),
      file('packages/server/src/api/a.ts', 'zod', 'packages/server/src/api/b.ts'),
      file('packages/server/src/modules/blog/a.ts', 'packages/server/src/modules/crm/index.ts'),
      file('packages/console/src/a.ts', '@quickscale/server/api', 'react'),
    ]
    expect(checkPackageArrows(right)).toEqual([])
  })

  test('a cycle, once, however it is entered', () => {
    const files = [file('d', 'b'), file('c', 'a'), file('b', 'c'), file('a', 'b'), file('e', 'd', 'a')]
    expect(checkCycles(files)).toEqual(['a → b → c → a'])
  })

  test('gaps, doubles and strangers in numbered SQL', () => {
    expect(checkSqlNumbers(['s/0001_a.sql', 's/0003_b.sql'])).toHaveLength(1)
    expect(checkSqlNumbers(['s/0001_a.sql', 's/0001_b.sql'])).toHaveLength(1)
    expect(checkSqlNumbers(['s/0001_a.sql', 's/other.sql'])).toHaveLength(1)
    expect(checkSqlNumbers(['s/0001_a.sql', 's/0002_b.sql', 't/one.sql', 't/two.sql'])).toEqual([])
  })

  test('exports of files that do not exist or would be built elsewhere', () => {
    const files = new Set(['p/src/index.ts'])
    const entry = (source: string, built: string) => ({
      'quickscale-source': `./src/${source}.ts`,
      types: `./dist/${built}.d.ts`,
      default: `./dist/${built}.js`,
    })
    expect(checkExportMap({ '.': entry('index', 'index') }, files, 'p')).toEqual([])
    expect(checkExportMap({ '.': entry('gone', 'gone') }, files, 'p')).toHaveLength(1)
    expect(checkExportMap({ '.': entry('index', 'main') }, files, 'p')).toHaveLength(2)
  })

  test('an invariant out of sequence, without a test, and a test file without an invariant', () => {
    const header = '| # | guarantee | proof |\n|---|---|---|\n'
    const titlesOf = new Map([['a.test.ts', ['one', 'two | three']]])
    const check = (rows: string, titles = titlesOf) => checkInvariants(readInvariants(header + rows), titles)
    expect(check('| 1 | g | a.test.ts: one<br>a.test.ts: two \\| three |')).toEqual([])
    expect(check('| 2 | g | a.test.ts: one |')).toEqual(['invariant 2 (g) is out of sequence'])
    expect(check('| 1 | g | a.test.ts: four |')).toContainEqual(expect.stringContaining('does not exist'))
    expect(
      check('| 1 | g | a.test.ts: one |', new Map([...titlesOf, ['packages/tenancy/b.test.ts', []]])),
    ).toEqual(['packages/tenancy/b.test.ts proves no invariant: add the guarantee it enforces'])
  })

  test('words of other machines', () => {
    const words = ['/wo', 'rk/main', ' /fa', 'rm/x', ' ../sha', 'red/y', ' .libr', 'ary '].join('')
    expect(checkForeignWords('a.md', `fine\n${words}`)).toHaveLength(1)
    expect(checkForeignWords('a.md', 'network/main shared/y a library')).toEqual([])
  })
})
