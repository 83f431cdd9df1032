import { findBroughtServer } from '../catalog/brought-databases.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { decrypt, type Envelope, encrypt } from '../catalog/credentials.ts'
import type { KeyProvider } from '../key-provider.ts'
import { createBroughtServer, type Server } from './servers.ts'

/**
 * The server of a brought database. Read anew each time: another process may have replaced its URL.
 *
 * @throws QuickScaleError `CREDENTIAL_UNREADABLE`
 */
export async function openBroughtServer(
  catalog: Pick<Catalog, 'db'>,
  keys: KeyProvider,
  name: string,
): Promise<Server | null> {
  const record = await findBroughtServer(catalog.db, name)
  if (record === null) return null
  return createBroughtServer(name, await decrypt(keys, record.credential, purposeOf(name)))
}

export async function sealBroughtUrl(keys: KeyProvider, name: string, url: string): Promise<Envelope> {
  return await encrypt(keys, url, purposeOf(name))
}

function purposeOf(serverName: string): string {
  return `URL of server ${serverName}`
}
