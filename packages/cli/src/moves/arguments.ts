import { InvalidArgumentError } from 'commander'
import { limits } from '../limits.ts'

const unitsMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `30m`, `1h`, `2d` or `0`, in milliseconds. @throws InvalidArgumentError */
export function parseWindow(text: string): number {
  const [, number, unit] = /^(\d{1,9})([smhd])$/.exec(text) ?? []
  const ms = text === '0' ? 0 : Number(number) * (unitsMs[unit ?? ''] ?? Number.NaN)
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Give a number with s, m, h or d, such as 1h; or 0.')
  if (ms > limits.rollbackWindowMsMax) throw new InvalidArgumentError('Give at most 30d.')
  return ms
}

/** A part of the time. @throws InvalidArgumentError */
export function parseShare(text: string): number {
  const share = /^(0?\.\d+|1(\.0+)?)$/.test(text) ? Number(text) : 0
  if (share < limits.copyShareMin) {
    throw new InvalidArgumentError(`Give a number from ${limits.copyShareMin} to 1, such as 0.5.`)
  }
  return share
}
