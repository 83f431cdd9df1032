import pg from 'pg'
import { QuickScaleError } from '../errors.ts'

/**
 * Checks, before the first connection, that the driver still has the shape that pg-internals.ts relies on.
 *
 * @throws QuickScaleError `DRIVER_UNSUITABLE`
 */
export function assertDriver(): void {
  const query = pg.Query.prototype as unknown as Record<string, unknown>
  const methods = [
    'prepare',
    '_getRows',
    'handleRowDescription',
    'handleDataRow',
    'handleCommandComplete',
    'handleCopyData',
    'handleError',
    'handleReadyForQuery',
  ]
  const missing = methods.filter((method) => typeof query[method] !== 'function')
  const wire = Reflect.get(new pg.Client(), 'connection') as unknown as Record<string, unknown>
  for (const method of ['parse', 'bind', 'describe', 'execute', 'close', 'sync']) {
    if (typeof wire[method] !== 'function') missing.push(`connection.${method}`)
  }
  if (typeof wire.parsedStatements !== 'object') missing.push('connection.parsedStatements')
  if (missing.length > 0)
    throw new QuickScaleError('DRIVER_UNSUITABLE', { reason: `lacks ${missing.join(', ')}` })
}
