const BAR_WIDTH = 24

/** Shows how far a start has come: a bar that redraws itself on a terminal, one line per step elsewhere. */
export interface Progress {
  /** Something of unknown length has begun or ended. */
  say(message: string): void
  /** Part of something counted is done. */
  count(label: string, done: number, total: number): void
}

export function createProgress(output: NodeJS.WriteStream): Progress {
  const redraws = output.isTTY === true
  const end = (line: string) => output.write(redraws ? `\r\x1b[2K${line}\n` : `${line}\n`)
  return {
    say: end,
    count(label, done, total) {
      const filled = total === 0 ? BAR_WIDTH : Math.round((done / total) * BAR_WIDTH)
      const bar = '█'.repeat(filled).padEnd(BAR_WIDTH, '░')
      const line = `  ${bar} ${String(done).padStart(String(total).length)}/${total}  ${label}`
      if (done >= total) end(line)
      else if (redraws) output.write(`\r\x1b[2K${line}`)
    },
  }
}
