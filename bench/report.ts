import type { Machine } from './machine.ts'

/** One line that is rewritten; nothing when nobody watches. */
export function createProgress(output: NodeJS.WriteStream): { say(message: string): void; end(): void } {
  if (output.isTTY !== true) return { say: () => undefined, end: () => undefined }
  return {
    say: (message) => output.write(`\r\x1b[2K${message}`),
    end: () => output.write('\r\x1b[2K'),
  }
}

interface Report {
  readonly name: string
  readonly machine: Machine
  readonly rounds?: number
  readonly noise?: number
  readonly rows?: readonly object[]
}

/** A report for people: the machine, the rows as a table, what else the report says. */
export function formatReport({ name, machine, rounds, noise, rows = [], ...others }: Report): string {
  const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`)
  const rest = Object.entries(others).map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
  const precision = noise === undefined ? '' : `: ${rounds} rounds, noise ${Math.round(noise * 100)} %`
  return [
    facts.join(', '),
    `${name}${precision}`,
    ...(rows.length > 0 ? formatTable(rows) : []),
    ...rest,
  ].join('\n')
}

function formatTable(rows: readonly object[]): string[] {
  const header = Object.keys(rows[0] ?? {})
  const lines = [header, ...rows.map((row) => Object.values(row).map(String))]
  const widths = header.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)))
  const isNumber = header.map((_, column) =>
    rows.every((row) => typeof Object.values(row)[column] === 'number'),
  )
  return lines.map((cells) =>
    cells
      .map((cell, column) =>
        isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
}
