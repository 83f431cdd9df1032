import pc from 'picocolors'
import { limits } from './limits.ts'
import type { AffectedIndexReport, CheckReport, Difference, Refusal, StrategyReport } from './report.ts'

type Colors = ReturnType<typeof pc.createColors>

/** The report for people, coloured only for a terminal: a pipe or a file gets plain text, on CI too. */
export function formatReport(report: CheckReport, isTerminal: boolean): string {
  const colors = pc.createColors(isTerminal && pc.isColorSupported)
  const { original, strategies, affectedIndexes, refused, renamed, altered, ignored } = report
  const views = original.views === 0 ? '' : `, ${count(original.views, 'view')}`
  return [
    `Original: ${count(original.tables, 'table')}, ${count(original.rows, 'row')}${views}, in ${original.schemas.join(', ')}`,
    '',
    ...Object.entries(strategies).flatMap(([name, strategy]) => formatStrategy(name, strategy, colors)),
    ...section('Refused', refused.map(formatRefusal)),
    ...section('Indexes that row security affects', mergeAffected(affectedIndexes)),
    ...section(
      'Renamed, because two schemas use the name',
      renamed.map(({ kind, from, to }) => `${kind} ${from} → ${to}`),
    ),
    ...section(
      'Functions adapted to the place',
      altered.map(({ object, change }) => `${object}: ${change}`),
    ),
    ...section(
      'Passed over',
      Object.entries(ignored).map(([what, times]) => `${what} (${times})`),
    ),
    '',
    summary(report, colors),
  ].join('\n')
}

function formatStrategy(
  name: string,
  { tables, rows, differences, compared }: StrategyReport,
  { green, red }: Colors,
): string[] {
  const mark = differences.length === 0 ? green('same') : red(count(differences.length, 'difference'))
  const scope = [
    count(compared.constraints, 'constraint'),
    count(compared.probes, 'probe'),
    count(compared.views, 'view'),
    count(compared.indexes, 'index'),
    count(compared.sequences, 'sequence'),
  ].join(', ')
  const listed = differences.slice(0, limits.differencesMax)
  const more = differences.length - listed.length
  return [
    `${name.padEnd(9)} ${mark}: two tenants, ${count(tables, 'table')}, ${count(rows, 'row')}; ${scope}`,
    ...listed.map((difference) => `  ${formatDifference(difference)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ]
}

function formatDifference({ kind, object, tenant, expected, found }: Difference): string {
  return `${kind} ${object}${tenant === undefined ? '' : ` (${tenant})`}: expected ${expected}; found ${found}`
}

function formatRefusal({ kind, object, reason, remedy }: Refusal): string {
  return `${kind} ${object}: ${reason}. ${remedy}`
}

/** One line for an index, whatever the strategies in which it is affected. */
function mergeAffected(affected: readonly AffectedIndexReport[]): string[] {
  const byIndex = Map.groupBy(affected, ({ index, table }) => `${index} on ${table}`)
  return [...byIndex].map(([name, items]) => {
    const where = items.map(({ strategy }) => strategy).join(', ')
    return `${name} (${where}): ${items[0]?.reason}. ${items[0]?.remedies.join(' ')}`
  })
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', `${title}:`, ...lines.map((line) => `  ${line}`)]
}

function summary({ ok, strategies, refused, affectedIndexes }: CheckReport, { green, red }: Colors): string {
  const differences = Object.values(strategies).reduce(
    (sum, strategy) => sum + strategy.differences.length,
    0,
  )
  const indexes = new Set(affectedIndexes.map(({ index }) => index)).size
  const rest = [
    count(differences, 'difference'),
    `${refused.length} refused`,
    `${count(indexes, 'index')} affected`,
  ].join(', ')
  return ok ? green(`Tenant-safe under all three strategies: ${rest}.`) : red(`Not the same: ${rest}.`)
}

const plurals: Readonly<Record<string, string>> = { index: 'indexes' }

/** A number with its noun. */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${number === 1 ? noun : (plurals[noun] ?? `${noun}s`)}`
}
