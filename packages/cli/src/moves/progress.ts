import type { Move } from '@quickscale/tenancy'
import { limits } from '../limits.ts'

/** Where progress is drawn: standard error. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/**
 * How far a move is: one line that is drawn again and again on a terminal. Elsewhere, if it is wanted, a line for each state
 * and now and then one in between.
 */
export function createMoveProgress(stream: ProgressStream, evenWithoutTerminal: boolean) {
  const everyMs = stream.isTTY ? limits.progressEveryMs : limits.progressLineEveryMs
  let [shown, shownAt] = ['', Number.NEGATIVE_INFINITY]
  /** @param what is shown at once when it is another thing than before, and otherwise now and then */
  const draw = (what: string, line: () => string) => {
    if (!stream.isTTY && !evenWithoutTerminal) return
    const now = performance.now()
    if (shown === what && now - shownAt < everyMs) return
    shown = what
    shownAt = now
    stream.write(stream.isTTY ? `\r\u001b[K${line().slice(0, (stream.columns ?? 80) - 1)}` : `${line()}\n`)
  }
  return {
    draw,
    show: (move: Pick<Move, 'id' | 'state' | 'progress'>) =>
      draw(`${move.id} ${move.state}`, () => formatProgress(move)),
    end: () => {
      if (stream.isTTY && shown !== '') stream.write('\r\u001b[K')
    },
  }
}

/** Phase, rows of those expected, bytes, rate, lag, time left: as far as they are known. */
export function formatProgress({ state, progress }: Pick<Move, 'state' | 'progress'>): string {
  const { rowsCopied, rowsExpected, bytesCopied, rowsPerSecond } = progress
  const { changesApplied, lagMs, catchUpMsLeft, cutoversFailed } = progress
  const known = (value: number | undefined, text: (value: number) => string) =>
    value === undefined ? [] : [text(value)]
  const copied = known(rowsCopied ?? (rowsExpected === undefined ? undefined : 0), (rows) =>
    rowsExpected === undefined
      ? `${format(rows)} rows`
      : `${format(rows)} of ${format(rowsExpected)} rows${shareOf(rows, rowsExpected)}`,
  )
  const parts =
    state === 'copying' || state === 'planned'
      ? [
          ...copied,
          ...known(bytesCopied, formatBytes),
          ...known(rowsPerSecond, (rate) => `${format(rate)} rows/s`),
          ...known(secondsLeft(progress), (seconds) => `${formatSeconds(seconds)} left`),
        ]
      : [
          ...known(rowsCopied, (rows) => `${format(rows)} rows copied`),
          ...known(changesApplied, (changes) => `${format(changes)} changes applied`),
          ...known(lagMs, (ms) => `${ms < 10_000 ? `${format(ms)} ms` : formatSeconds(ms / 1_000)} behind`),
          ...known(catchUpMsLeft || undefined, (ms) => `${formatSeconds(Math.ceil(ms / 1_000))} left`),
          ...known(cutoversFailed || undefined, (times) => `switch put off ${format(times)} times`),
        ]
  return [state, ...parts].join(' · ')
}

function secondsLeft({ rowsExpected, rowsCopied, rowsPerSecond }: Move['progress']): number | undefined {
  if (rowsExpected === undefined || rowsCopied === undefined || !rowsPerSecond) return undefined
  return Math.ceil(Math.max(0, rowsExpected - rowsCopied) / rowsPerSecond)
}

function shareOf(part: number, whole: number): string {
  return whole === 0 ? '' : ` (${Math.floor((Math.min(part, whole) / whole) * 100)} %)`
}

function format(number: number): string {
  return number.toLocaleString('en')
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [size, unit] = [bytes, 0]
  for (; size >= 1_000 && unit < units.length - 1; unit += 1) size /= 1_000
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`
}

export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`
  return seconds < 3_600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3_600).toFixed(1)} h`
}
