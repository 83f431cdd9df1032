import { styleText } from 'node:util'
import type { Finding } from './attack.ts'
import type { SuiteResult } from './suite.ts'

type Style = Parameters<typeof styleText>[0]

const styles: Readonly<Record<string, Style>> = {
  succeeded: 'yellow',
  failed: 'red',
  blocked: 'green',
  leaked: 'red',
  invalid: 'magenta',
}

/** One line that is rewritten; nothing when nobody watches. */
export function createProgress(output: NodeJS.WriteStream): { say(what: string): void; end(): void } {
  if (output.isTTY !== true) return { say: () => undefined, end: () => undefined }
  return {
    say: (what) => output.write(`\r\x1b[2K${what}`),
    end: () => output.write('\r\x1b[2K'),
  }
}

/** The table for people. @param colours false for files and pipes */
export function formatResult({ attacks, summary, findings }: SuiteResult, colours: boolean): string {
  const paint = (word: string, width: number) => {
    const padded = word.padEnd(width)
    const style = styles[word]
    return colours && style !== undefined ? styleText(style, padded, { validateStream: false }) : padded
  }
  const widths = [Math.max(...attacks.map(({ id }) => id.length)), 9, 8, 8, 8]
  const line = (cells: readonly string[]) =>
    cells.map((cell, index) => paint(cell, widths[index] ?? 0)).join('  ')
  const rows = attacks.map(({ id, title, naive, rls, schema, database }) =>
    `${line([id, naive, rls, schema, database])}  ${title}`.trimEnd(),
  )
  const { blocked, leaked, invalid, naiveSucceeded, seconds } = summary
  return [
    line(['attack', 'naive', 'rls', 'schema', 'database']).trimEnd(),
    ...rows,
    ...(findings.length > 0 ? ['', formatFindings(findings)] : []),
    '',
    `${summary.attacks} attacks: ${naiveSucceeded} succeeded on their naive target; ours: ${blocked} blocked, ${leaked} leaked, ${invalid} invalid; ${seconds} s`,
  ].join('\n')
}

/** What went wrong where, and why. */
export function formatFindings(findings: readonly Finding[]): string {
  const paragraphs = findings.map(({ attack, where, reasons }) =>
    [`${attack}, ${where}`, ...reasons.map((reason) => `  ${reason}`)].join('\n'),
  )
  return paragraphs.join('\n\n')
}
