import { InvalidArgumentError } from 'commander'

/** Percent, as a part of one. @throws InvalidArgumentError */
export function parsePercent(text: string): number {
  const percent = /^\d{1,4}%?$/.test(text) ? Number.parseInt(text, 10) : 0
  if (percent < 5 || percent > 1_000) throw new InvalidArgumentError('Give 5 to 1000 percent, such as 20.')
  return percent / 100
}

/** @throws InvalidArgumentError */
export function parseMoves(text: string): number {
  const moves = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (moves < 1 || moves > 1_000) throw new InvalidArgumentError('Give 1 to 1000 moves.')
  return moves
}
