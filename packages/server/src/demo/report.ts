import type { Resident } from './provision.ts'

/**
 * Says who lives where, and how to ask for it.
 *
 * @param files.keyFile holds the header that lets its reader in
 * @param files.directory where the configuration is, for the command line
 */
export function formatReport(
  residents: readonly Resident[],
  origin: string,
  { keyFile, directory }: { readonly keyFile: string; readonly directory: string },
): string {
  const curl = `curl -H '@${inQuotes(keyFile)}'`
  const oneEach = residents.filter(
    ({ strategy }, index) => residents.findIndex((other) => other.strategy === strategy) === index,
  )
  const port = new URL(origin).port
  const hosts = residents.map(({ slug }) => `  http://${slug}.localhost:${port}/contacts`)
  const [first] = residents
  const byHost = first && `  ${curl} -H 'Host: ${first.slug}.localhost' '${origin}/stages'`
  const moves = residents
    .slice(0, 1)
    .flatMap(({ slug }) => [
      `  ${curl} -H 'content-type: application/json' -d '{"plan":"pro"}' '${origin}/t/${slug}/billing/plan'`,
      `  npx quickscale move ${slug} --to database --config '${inQuotes(directory)}'`,
    ])
  return [
    '',
    'Who lives where:',
    '',
    ...formatTable(residents),
    '',
    `Listening on ${origin}; what there is to ask: ${origin}/reference`,
    'Each tenant has a host name too, where *.localhost resolves:',
    ...hosts,
    '',
    'One request per strategy, and one by host name:',
    ...oneEach.map(({ slug }) => `  ${curl} '${origin}/t/${slug}/contacts?limit=2&sort=last_name'`),
    ...(byHost ? [byHost] : []),
    '',
    'One that moves while it works, by its plan or by hand:',
    ...moves,
    '',
    `${keyFile} lets its readers in as owner of these tenants: keep it.`,
    '',
    'Ctrl-C stops everything.',
    '',
  ].join('\n')
}

/** Within single quotes of a shell. */
function inQuotes(path: string): string {
  return path.replaceAll("'", "'\\''")
}

function formatTable(residents: readonly Resident[]): string[] {
  const head = ['tenant', 'plan', 'strategy', 'database', 'schema', 'rows']
  const body = residents.map((r) => [r.slug, r.plan, r.strategy, r.database, r.schema, String(r.rows)])
  const lines = [head, ...body]
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const format = (line: readonly string[]) =>
    `  ${line.map((cell, column) => align(cell, widths[column] ?? 0, column === head.length - 1)).join('  ')}`.trimEnd()
  return [format(head), format(widths.map((width) => '-'.repeat(width))), ...body.map(format)]
}

function align(cell: string, width: number, right: boolean): string {
  return right ? cell.padStart(width) : cell.padEnd(width)
}
