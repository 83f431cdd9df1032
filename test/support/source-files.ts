import { globSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { type CallExpression, parseSync, Visitor } from 'oxc-parser'

/** What the whole-repository checks need to know about one TypeScript file. */
export interface SourceFile {
  /** From the repository's root, with slashes. */
  readonly path: string
  readonly lineCount: number
  /** Type-only imports too: they show the same dependency to the reader. */
  readonly imports: readonly string[]
  readonly functions: readonly FunctionSpan[]
  /** Titles of test() and it(), as written. */
  readonly testTitles: readonly string[]
}

export interface FunctionSpan {
  readonly line: number
  readonly lineCount: number
}

const root = join(import.meta.dirname, '../..')

/** Files of the repository that match, in a fixed order; installed, built and local ones left out. */
export function findFiles(pattern: string): readonly string[] {
  const exclude = ['**/node_modules/**', '**/dist/**', '.git/**', '**/.quickscale/**']
  return globSync(pattern, { cwd: root, exclude, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(root, join(entry.parentPath, entry.name)))
    .sort()
}

export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

export function readSourceFiles(pattern: string): readonly SourceFile[] {
  return findFiles(pattern).map((path) => parseSource(path, readText(path)))
}

export function parseSource(path: string, text: string): SourceFile {
  const { program, module, errors } = parseSync(path, text)
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors.map(({ message }) => message).join('; ')}`)
  const functions: FunctionSpan[] = []
  const testTitles: string[] = []
  const addFunction = ({ start, end }: { start: number; end: number }) => {
    functions.push({ line: countLines(text.slice(0, start)), lineCount: countLines(text.slice(start, end)) })
  }
  new Visitor({
    FunctionDeclaration: addFunction,
    FunctionExpression: addFunction,
    ArrowFunctionExpression: addFunction,
    CallExpression(call) {
      const title = readTestTitle(call, text)
      if (title !== null) testTitles.push(title)
    },
  }).visit(program)
  const requests = [
    ...module.staticImports.map((statement) => statement.moduleRequest.value),
    ...module.staticExports.flatMap((statement) =>
      statement.entries.flatMap((entry) => entry.moduleRequest?.value ?? []),
    ),
    ...module.dynamicImports.flatMap((expression) =>
      readQuoted(text.slice(expression.moduleRequest.start, expression.moduleRequest.end)),
    ),
  ]
  const imports = requests.map((request) => resolveRequest(path, request))
  return {
    path,
    lineCount: countLines(text.trimEnd()),
    imports: [...new Set(imports)],
    functions,
    testTitles,
  }
}

/** Own files become paths from the root, packages keep their name. */
function resolveRequest(from: string, request: string): string {
  return request.startsWith('.') ? posix.join(dirname(from), request) : request
}

function readQuoted(expression: string): string[] {
  const [, quoted] = /^['"](.*)['"]$/.exec(expression) ?? []
  return quoted === undefined ? [] : [quoted]
}

/** `test('x', …)`, `test.each(…)('x', …)` and the like; a template keeps its `${…}`. */
function readTestTitle(call: CallExpression, text: string): string | null {
  if (!/^(test|it)\b/.test(text.slice(call.callee.start, call.callee.end))) return null
  const [title] = call.arguments
  if (title === undefined || call.arguments.length < 2) return null
  if (title.type === 'Literal' && typeof title.value === 'string') return title.value
  return title.type === 'TemplateLiteral' ? text.slice(title.start + 1, title.end - 1) : null
}

function countLines(text: string): number {
  return text.split('\n').length
}
