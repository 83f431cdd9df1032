import { createHmac, timingSafeEqual } from 'node:crypto'
import { ProblemError } from './problem-error.ts'

/** The last row of a page: where the next one begins. */
export interface Position {
  /** The sort column's value as PostgreSQL writes it, exact to the microsecond and the cent; null for NULL. */
  readonly key: string | null
  readonly id: string
}

export interface CursorCodec {
  /** @param scope everything the cursor must be used with again: tenant, list, order, search */
  encode(scope: readonly string[], position: Position): string
  /** @throws ProblemError `CURSOR_INVALID` for a cursor of another scope, or one we did not make. */
  decode(scope: readonly string[], cursor: string): Position
}

const MAC_BYTES = 16

/**
 * Makes cursors opaque and bound to their scope: base64url(MAC ‖ JSON). What passes the MAC is our own text, so that
 * no value of a cursor can fail or be probed in the database.
 */
export function createCursorCodec(key: Uint8Array): CursorCodec {
  const seal = (scope: readonly string[], payload: string) =>
    createHmac('sha256', key)
      .update(JSON.stringify([scope, payload]))
      .digest()
      .subarray(0, MAC_BYTES)
  return {
    encode(scope, position) {
      const payload = JSON.stringify([position.key, position.id])
      return Buffer.concat([seal(scope, payload), Buffer.from(payload)]).toString('base64url')
    },
    decode(scope, cursor) {
      const bytes = Buffer.from(cursor, 'base64url')
      const payload = bytes.subarray(MAC_BYTES).toString()
      const genuine =
        bytes.length > MAC_BYTES &&
        bytes.toString('base64url') === cursor &&
        timingSafeEqual(bytes.subarray(0, MAC_BYTES), seal(scope, payload))
      if (!genuine) {
        throw new ProblemError(
          400,
          'CURSOR_INVALID',
          'The cursor does not belong to this list, order and search',
          [{ in: 'query', path: '/cursor', message: 'is not a cursor of this list' }],
        )
      }
      const [sortKey, id]: [string | null, string] = JSON.parse(payload)
      return { key: sortKey, id }
    },
  }
}
