import { hkdfSync } from 'node:crypto'

const KEY_BYTES = 32

/** A key for one purpose: the same wherever the application's secret is the same, and no clue to any other one. */
export function deriveKey(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', `quickscale ${purpose}`, KEY_BYTES))
}
