import { type ErrorCode, QuickScaleError } from '@quickscale/tenancy'
import { exitCodes } from './exit-codes.ts'

/** Codes of errors that are the caller's to correct. */
const unusableCodes = new Set<ErrorCode>([
  'COMMAND_INVALID',
  'SCRIPT_UNUSABLE',
  'SERVER_UNSUITABLE',
  'EMBEDDED_SERVER_FAILED',
  'CONFIG_INVALID',
  'NOT_INSTALLED',
  'MASTER_KEY_WRONG',
  'SERVER_UNREACHABLE',
  'CATALOG_UNREACHABLE',
  'TENANT_KEY_INVALID',
  'TENANT_NOT_FOUND',
  'PLAN_UNKNOWN',
  'SERVER_UNKNOWN',
  'MOVE_NOT_FOUND',
])

const unforeseenRemedy = 'Nobody has foreseen this: please report it, with what standard error says.'

/** Tells why there is no result, on standard output too when that has to be JSON, and returns the exit code. */
export function explain(error: unknown, json: boolean): number {
  // A script or a directory that cannot be read; of a directory the error names no path.
  const missing = error instanceof Error && 'code' in error && ('path' in error || error.code === 'EISDIR')
  const known = error instanceof QuickScaleError
  const unforeseen = !missing && !known
  const message = error instanceof Error ? error.message : String(error)
  const remedy = known ? error.remedy : unforeseen ? unforeseenRemedy : undefined
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const line = known ? error.details.line : undefined
  if (json) process.stdout.write(`${JSON.stringify({ ok: false, error: { code, message, remedy, line } })}\n`)
  console.error(remedy === undefined ? message : `${message}\n${remedy}`)
  if (unforeseen && error instanceof Error && error.stack !== undefined) console.error(error.stack)
  const noResult = missing || unforeseen || (known && unusableCodes.has(error.code))
  return noResult ? exitCodes.unusable : exitCodes.differs
}
