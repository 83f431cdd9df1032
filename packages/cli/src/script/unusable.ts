import { QuickScaleError } from '@quickscale/tenancy'

/** The one way a script fails to be read or loaded. */
export function unusable(line: number, reason: string, options?: { cause?: unknown }): QuickScaleError {
  return new QuickScaleError('SCRIPT_UNUSABLE', { line, reason }, options)
}
