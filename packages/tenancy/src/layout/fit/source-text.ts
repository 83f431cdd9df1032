import type { Node, ScanToken } from 'libpg-query'

/** A migration with what the parser says about it. All positions are in bytes of its UTF-8 text. */
export interface SourceText {
  readonly bytes: Buffer
  readonly statements: readonly Node[]
  /** Where each of the statements stands, semicolon excluded. */
  readonly spans: readonly { readonly start: number; readonly end: number }[]
  readonly tokens: readonly ScanToken[]
}

/** Replaces the bytes from `start` up to `end`. */
export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** The tokens from a node's position on. */
function tokensFrom(source: SourceText, location: number): readonly ScanToken[] {
  return source.tokens.slice(source.tokens.findIndex(({ start }) => start >= location))
}

/** Where `schema.name` or `name` at a position ends. */
export function nameEnd(source: SourceText, location: number): number {
  const [first, dot, second] = tokensFrom(source, location)
  const qualified = dot !== undefined && tokenText(source, dot) === '.'
  return (qualified ? second : first)?.end ?? location
}

/** The inside of the first parentheses from a position on. */
export function listSpan(source: SourceText, location: number): { start: number; end: number } | undefined {
  const tokens = tokensFrom(source, location)
  const open = tokens.findIndex((token) => tokenText(source, token) === '(')
  let depth = 0
  const close = tokens.findIndex((token, at) => {
    if (at < open) return false
    const text = tokenText(source, token)
    depth += text === '(' ? 1 : text === ')' ? -1 : 0
    return depth === 0
  })
  const [start, end] = [tokens[open]?.end, tokens[close]?.start]
  return open < 0 || start === undefined || end === undefined ? undefined : { start, end }
}

/** The last keyword ON before a position. */
export function onBefore(source: SourceText, location: number): number | undefined {
  return source.tokens.findLast(
    (token) => token.start < location && tokenText(source, token).toLowerCase() === 'on',
  )?.start
}

export function applyEdits({ bytes }: SourceText, edits: readonly Edit[]): string {
  const parts: Buffer[] = []
  let at = 0
  for (const { start, end, text } of edits.toSorted((one, other) => one.start - other.start)) {
    parts.push(bytes.subarray(at, start), Buffer.from(text))
    at = end
  }
  return Buffer.concat([...parts, bytes.subarray(at)]).toString()
}

function tokenText({ bytes }: SourceText, { start, end }: ScanToken): string {
  return bytes.subarray(start, end).toString()
}
