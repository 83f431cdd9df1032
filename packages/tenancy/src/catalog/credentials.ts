import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { QuickScaleError } from '../errors.ts'
import type { KeyProvider } from '../key-provider.ts'

/** A secret at rest: AES-256-GCM under a data key of its own, the data key wrapped. All base64. */
export interface Envelope {
  readonly keyId: string
  readonly wrappedKey: string
  readonly sealed: string
}

const nonceBytes = 12
const tagBytes = 16

/** Encrypts a secret; `purpose` must be given again to decrypt, so that an envelope cannot stand in for another. */
export async function encrypt(provider: KeyProvider, secret: string, purpose: string): Promise<Envelope> {
  const dataKey = randomBytes(32)
  const wrapped = await provider.wrap(dataKey)
  const sealed = sealBytes(dataKey, Buffer.from(secret, 'utf8'), purpose)
  return { keyId: provider.keyId, wrappedKey: wrapped.toString('base64'), sealed: sealed.toString('base64') }
}

/**
 * @throws QuickScaleError `CREDENTIAL_UNREADABLE` for another key, another purpose or a damaged envelope
 */
export async function decrypt(provider: KeyProvider, envelope: Envelope, purpose: string): Promise<string> {
  try {
    const dataKey = await provider.unwrap(Buffer.from(envelope.wrappedKey, 'base64'), envelope.keyId)
    return openBytes(dataKey, Buffer.from(envelope.sealed, 'base64'), purpose).toString('utf8')
  } catch (cause) {
    throw new QuickScaleError(
      'CREDENTIAL_UNREADABLE',
      { reason: `${purpose}, key ${envelope.keyId}` },
      { cause },
    )
  }
}

/** Wraps data keys with a key derived from the installation's master key. */
export function localKeyProvider(masterKey: Buffer): KeyProvider {
  const key = Buffer.from(hkdfSync('sha256', masterKey, '', 'quickscale credentials', 32))
  return {
    keyId: 'local',
    wrap: async (dataKey) => sealBytes(key, dataKey, 'data key'),
    unwrap: async (wrapped) => openBytes(key, wrapped, 'data key'),
  }
}

function sealBytes(key: Buffer, plain: Buffer, purpose: string): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(purpose, 'utf8'))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function openBytes(key: Buffer, sealed: Buffer, purpose: string): Buffer {
  const nonce = sealed.subarray(0, nonceBytes)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(purpose, 'utf8')).setAuthTag(sealed.subarray(-tagBytes))
  return Buffer.concat([decipher.update(sealed.subarray(nonceBytes, -tagBytes)), decipher.final()])
}
