import { type ScanToken, scanSync } from 'libpg-query'

/** A statement as its bytes and its words. The parser counts in bytes of UTF-8. */
export interface SourceText {
  readonly bytes: Buffer
  readonly tokens: readonly ScanToken[]
}

const SPACE = 0x20
const kept = new Set([...'\t\n\r'].map((character) => character.charCodeAt(0)))

export function readSource(text: string): SourceText {
  const bytes = Buffer.from(text)
  // The scanner's answer is JSON in which it does not escape control characters. Where one may stand, a space does
  // not change the words.
  const scanned = Buffer.from(bytes.map((byte) => (byte < SPACE && !kept.has(byte) ? SPACE : byte)))
  const { tokens } = scanSync(scanned.toString())
  return { bytes, tokens: tokens.filter(({ tokenName }) => !tokenName.endsWith('_COMMENT')) }
}

/**
 * The place behind the last of these keywords that is written before a position.
 *
 * @param keywords in the order in which they follow each other, lower case
 * @param optional keywords to be passed over behind them
 */
export function behindKeywords(
  source: SourceText,
  before: number,
  keywords: readonly string[],
  optional: readonly string[] = [],
): number | undefined {
  const words = source.tokens
    .filter(({ start }) => start < before)
    .map(({ start, end }) => ({ end, word: source.bytes.subarray(start, end).toString().toLowerCase() }))
  for (let at = words.length - keywords.length; at >= 0; at -= 1) {
    if (!keywords.every((keyword, offset) => words[at + offset]?.word === keyword)) continue
    const last = words[at + keywords.length - 1]
    const next = words[at + keywords.length]
    return next !== undefined && optional.includes(next.word) ? next.end : last?.end
  }
  return undefined
}
