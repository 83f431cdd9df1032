/**
 * All keys of databases are derived from the master key, and installed over what is there. Whoever came with another one would
 * lock every tenant out of what it touches, and would be told that all went well. So the catalog has a fingerprint of the key
 * that the installation was made with, and it is asked before keys or credentials are written.
 */
import { hkdfSync } from 'node:crypto'
import { QuickScaleError } from '../errors.ts'
import type { Workshop } from './strategy.ts'

type KeyOwner = Pick<Workshop, 'catalog' | 'masterKey' | 'installation'>

/** @throws QuickScaleError `MASTER_KEY_WRONG`, `NOT_INSTALLED`, `CATALOG_UNREACHABLE` */
export async function assertMasterKey({ catalog, masterKey, installation }: KeyOwner): Promise<void> {
  const row = await catalog.db.selectFrom('master_key').select('fingerprint').executeTakeFirst()
  if (row === undefined) throw new QuickScaleError('NOT_INSTALLED', { installation })
  if (row.fingerprint !== fingerprintOf(masterKey)) {
    throw new QuickScaleError('MASTER_KEY_WRONG', { installation })
  }
}

/** What the catalog keeps of a master key. */
export function fingerprintOf(masterKey: Buffer): string {
  return Buffer.from(hkdfSync('sha256', masterKey, '', 'quickscale fingerprint', 32)).toString('hex')
}
