import { QuickScaleError } from '../errors.ts'

/** The one way this folder fails; `reason` names the file or process that explains more. */
export function failure(reason: string, cause?: unknown): QuickScaleError {
  return new QuickScaleError('EMBEDDED_SERVER_FAILED', { reason }, { cause })
}

/** `ENOENT` and the like of a system call's error. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : undefined
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
