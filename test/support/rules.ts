import type { SourceFile } from './source-files.ts'

const FILE_LINES_MAX = 400
const FUNCTION_LINES_MAX = 70

const ENGINE = 'packages/tenancy/src/'

/** Parts of the engine, the most basic first; a part may import those of earlier rows only. */
const engineLayers = [
  // Files of src/ itself that are not named below.
  ['leaves'],
  ['session'],
  ['layout', 'catalog'],
  ['migrations'],
  ['strategies'],
  ['placements'],
  ['migrations/fan-out.ts', 'lifecycle', 'metering', 'doctor', 'fleet', 'admin', 'members'],
  ['moves'],
  ['servers'],
  ['tenancy.ts'],
  ['resolve', 'embedded', 'testing'],
  ['adapters'],
  ['index.ts'],
] as const

/** What a package may import of the other ones. */
const packageArrows: Readonly<Record<string, RegExp>> = {
  tenancy: /^$/,
  server: /^@quickscale\/tenancy(\/[a-z-]+)?$/,
  console: /^@quickscale\/server\/api$/,
  cli: /^@quickscale\/(server|tenancy)(\/[a-z-]+)?$/,
}

/** In the order in which they may build on each other. */
const serverModules = ['platform', 'auth', 'teams', 'crm', 'blog', 'billing']

/** Every rule returns its violations as sentences, none when all is well. */
export function checkLengths(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, lineCount, functions }) => [
    ...(lineCount > FILE_LINES_MAX ? [`${path} has ${lineCount} lines, ${FILE_LINES_MAX} are allowed`] : []),
    ...functions
      .filter((span) => span.lineCount > FUNCTION_LINES_MAX)
      .map(
        (span) =>
          `${path}:${span.line} is a function of ${span.lineCount} lines, ${FUNCTION_LINES_MAX} are allowed`,
      ),
  ])
}

/** The layers of the engine, as engineLayers has them. */
export function checkEngineLayers(files: readonly SourceFile[]): readonly string[] {
  return files
    .filter(({ path }) => path.startsWith(ENGINE))
    .flatMap(({ path, imports }) => {
      const from = findLayer(path)
      if (from === null) return [`${path} belongs to no layer of the engine`]
      return imports.flatMap((target) => {
        const to = target.startsWith(ENGINE) ? findLayer(target) : null
        if (to === null || to.part === from.part || to.rank < from.rank) return []
        return [`${path} (${from.part}) must not import ${target} (${to.part})`]
      })
    })
}

function findLayer(path: string): { rank: number; part: string } | null {
  const inside = path.slice(ENGINE.length)
  const matches = engineLayers.flatMap((layer, rank) =>
    layer.filter((part) => inside === part || inside.startsWith(`${part}/`)).map((part) => ({ rank, part })),
  )
  // migrations/fan-out.ts is a part of its own within migrations.
  const closest = matches.sort((a, b) => b.part.length - a.part.length)[0]
  if (closest !== undefined) return closest
  return inside.includes('/') ? null : { rank: 0, part: 'leaves' }
}

/** The arrows between packages, modules and the API's schemas. */
export function checkPackageArrows(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, imports }) => {
    const [, name, inside] = /^packages\/([^/]+)\/src\/(.*)$/.exec(path) ?? []
    if (name === undefined || inside === undefined) return []
    const allowed = packageArrows[name]
    if (allowed === undefined) return [`${path} belongs to a package without arrows`]
    return imports
      .filter((target) => !mayImport({ name, inside, allowed, target }))
      .map((target) => `${path} must not import ${target}`)
  })
}

function mayImport(edge: { name: string; inside: string; allowed: RegExp; target: string }): boolean {
  const { name, inside, allowed, target } = edge
  if (target.startsWith('@quickscale/')) return allowed.test(target)
  const isOwnFile = target.startsWith(`packages/${name}/`)
  if (target.startsWith('packages/') || target.startsWith('..')) {
    return isOwnFile && mayImportInside(inside, target.slice(`packages/${name}/src/`.length), name)
  }
  return name !== 'server' || !inside.startsWith('api/') || target === 'zod'
}

function mayImportInside(from: string, to: string, packageName: string): boolean {
  if (packageName !== 'server') return true
  if (from.startsWith('api/')) return to.startsWith('api/')
  const [, importer = ''] = /^modules\/([^/]+)\//.exec(from) ?? []
  const [, imported = '', file] = /^modules\/([^/]+)\/(.*)$/.exec(to) ?? []
  if (importer === '' || imported === '' || importer === imported) return true
  return file === 'index.ts' && serverModules.indexOf(imported) < serverModules.indexOf(importer)
}

/** Import cycles, each once, beginning with its first file in the alphabet. */
export function checkCycles(files: readonly SourceFile[]): readonly string[] {
  const importsOf = new Map(files.map(({ path, imports }) => [path, imports]))
  const finished = new Set<string>()
  const cycles = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      cycles.add(nameCycle(trail.slice(start)))
      return
    }
    if (finished.has(path)) return
    for (const target of importsOf.get(path) ?? []) visit(target, [...trail, path])
    finished.add(path)
  }
  for (const { path } of files) visit(path, [])
  return [...cycles]
}

function nameCycle(members: readonly string[]): string {
  const first = members.indexOf([...members].sort()[0] ?? '')
  return [...members.slice(first), ...members.slice(0, first), members[first]].join(' → ')
}

/** A directory of .sql files is a sequence 0001_, 0002_, … or holds no numbered file at all. */
export function checkSqlNumbers(paths: readonly string[]): readonly string[] {
  const directories = Map.groupBy(paths, (path) => path.slice(0, path.lastIndexOf('/')))
  return [...directories].flatMap(([directory, members]) => {
    const numbers = members.map((path) => /\/(\d{4})_[a-z0-9_]+\.sql$/.exec(path)?.[1])
    if (numbers.every((number) => number === undefined)) return []
    const expected = members.map((_, index) => String(index + 1).padStart(4, '0'))
    const actual = numbers.map((number) => number ?? 'unnumbered').sort()
    return actual.join() === expected.join() ? [] : [`${directory} is numbered ${actual.join(', ')}`]
  })
}

/** Paths and names of the machines a change was made on; the groups keep this line from naming itself. */
const foreignWords = /\/(wo)rk\/|\/(fa)rm\/|\.(l)ibrary\b|(fa)rm-(studio|bench)|\.\.\/(sh)ared\b/

export function checkForeignWords(path: string, text: string): readonly string[] {
  return text.split('\n').flatMap((line, index) => {
    const [found] = foreignWords.exec(line) ?? []
    return found === undefined ? [] : [`${path}:${index + 1} names ${found}`]
  })
}

/** Every subpath is backed by a source file, and built to where tsc puts that file. */
export function checkExportMap(
  exports: unknown,
  files: ReadonlySet<string>,
  directory: string,
): readonly string[] {
  if (typeof exports !== 'object' || exports === null) return [`${directory} exports nothing`]
  return Object.entries(exports).flatMap(([subpath, conditions]) => {
    const source = String(conditions['quickscale-source'])
    const built = source.replace('./src/', './dist/').replace(/\.ts$/, '')
    const problems = files.has(`${directory}/${source.slice(2)}`) ? [] : [`${source} does not exist`]
    if (conditions.types !== `${built}.d.ts`) problems.push(`types is not ${built}.d.ts`)
    if (conditions.default !== `${built}.js`) problems.push(`default is not ${built}.js`)
    return problems.map((problem) => `${directory} exports ${subpath}: ${problem}`)
  })
}
