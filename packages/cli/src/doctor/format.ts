import type { DoctorReport, Finding, FindingLevel } from '@quickscale/tenancy'
import pc from 'picocolors'
import { count } from '../format.ts'

const levels: readonly FindingLevel[] = ['error', 'warning', 'note']

/** The findings for people, the worst first, each kind with its remedy once; coloured only for a terminal. */
export function formatDoctorReport(report: DoctorReport, isTerminal: boolean): string {
  const colors = pc.createColors(isTerminal && pc.isColorSupported)
  const colorOf = { error: colors.red, warning: colors.yellow, note: colors.cyan }
  const { ok, databases, tenants, findings } = report
  const groups = levels.map((level) => ({
    level,
    found: findings.filter((finding) => finding.level === level),
  }))
  const numbers = groups.map(({ level, found }) => count(found.length, level)).join(', ')
  return [
    `Examined: ${count(databases, 'database')}, ${count(tenants, 'tenant')}`,
    ...groups
      .filter(({ found }) => found.length > 0)
      .flatMap(({ level, found }) => ['', colorOf[level](`${headings[level]}:`), ...formatGroup(found)]),
    '',
    ok ? colors.green(`No wall is open: ${numbers}.`) : colors.red(`Something is wrong: ${numbers}.`),
  ].join('\n')
}

const headings: Readonly<Record<FindingLevel, string>> = {
  error: 'Errors',
  warning: 'Warnings',
  note: 'Notes',
}

/** Findings of one level, those with the same remedy together. */
function formatGroup(found: readonly Finding[]): string[] {
  return [...Map.groupBy(found, ({ check }) => check)].flatMap(([check, same]) => [
    `  ${check}`,
    ...same.map(({ where, message }) => `    ${where}: ${message}`),
    `    → ${same[0]?.remedy}`,
  ])
}
