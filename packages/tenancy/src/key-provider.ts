/**
 * Wraps and unwraps data keys with a key that never leaves it, as a key management service does.
 *
 * @example
 * const provider = localKeyProvider(randomBytes(32))
 * const envelope = await encrypt(provider, 'secret', 'database 42')
 * await decrypt(provider, envelope, 'database 42') // 'secret'
 */
export interface KeyProvider {
  /** Names the wrapping key; stored beside what it wrapped. */
  readonly keyId: string
  wrap(dataKey: Buffer): Promise<Buffer>
  unwrap(wrapped: Buffer, keyId: string): Promise<Buffer>
}
