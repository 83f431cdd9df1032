/**
 * What composite keys change for SQL that was written for one tenant, put into its text at the parser's positions. The
 * text is never made anew from the tree; the result is parsed again, and must be the statement that was meant.
 */
import { type ParseResult, parseSync } from 'libpg-query'
import type { Change } from './change.ts'
import { completeConflictTarget } from './conflict-targets.ts'
import { completeGroupBy } from './group-by.ts'
import { helpLikePrefixes } from './like-prefixes.ts'
import type { Place } from './place-shape.ts'
import { addSearchHints } from './search-hints.ts'
import { readSource } from './source-text.ts'
import { flattened, parametersIn, queriesOf } from './tree.ts'

/** One insertion into a statement, and why. */
export interface SqlChange {
  readonly kind: Change['kind']
  /** Where in the text as it was given, in characters as JavaScript counts them. */
  readonly at: number
  readonly inserted: string
  readonly reason: string
}

/** A statement as it is sent, and what was done to it. */
export interface Rewriting {
  readonly text: string
  /** In the order of the text; empty when it is sent as it was given. */
  readonly changes: readonly SqlChange[]
}

/** Nothing to do. */
export function unchanged(text: string): Rewriting {
  return { text, changes: [] }
}

/**
 * @param text one statement that the parser can read
 * @throws RangeError and others when the text was too much for the parser, which must not be used again
 */
export function rewriteText(text: string, place: Place): Rewriting {
  // The parser stops at a NUL, and so might the server.
  if (text.includes('\0')) return unchanged(text)
  const original = parseSync(text)
  const source = readSource(text)
  const parameters = parametersIn(original.stmts)
  const changes = queriesOf(original.stmts)
    .flatMap((query) => [
      ...completeConflictTarget(query, place, source),
      ...completeGroupBy(query, place, source),
      ...helpLikePrefixes(query, place, source, parameters),
      ...addSearchHints(query, place, source, parameters),
    ])
    .toSorted((one, other) => one.at - other.at)
  if (changes.length === 0) return unchanged(text)
  const rewritten = insert(source.bytes, changes)
  const wanted = structureOf(original, changes)
  if (structureOf(parseSync(rewritten), []) !== wanted) return unchanged(text)
  return {
    text: rewritten,
    changes: changes.map(({ kind, at, inserted, reason }) => ({
      kind,
      at: source.bytes.subarray(0, at).toString().length,
      inserted,
      reason,
    })),
  }
}

function insert(bytes: Buffer, changes: readonly Change[]): string {
  const parts: Buffer[] = []
  let done = 0
  for (const { at, inserted } of changes) {
    parts.push(bytes.subarray(done, at), Buffer.from(inserted))
    done = at
  }
  return Buffer.concat([...parts, bytes.subarray(done)]).toString()
}

/** Every field of parse nodes that is a position in the text. */
const positions = new Set([
  'location',
  'name_location',
  'stmt_location',
  'stmt_len',
  'list_start',
  'list_end',
  'rexpr_list_start',
  'rexpr_list_end',
])

/** The statement without positions, after the changes; equal for equal statements. */
function structureOf(parsed: ParseResult, changes: readonly Change[]): string {
  // What goes to the front of a list goes there in the reverse order of the text.
  for (const change of changes.toReversed()) change.apply()
  return JSON.stringify(parsed, (key, value: unknown) => (positions.has(key) ? undefined : flattened(value)))
}
