import { openCatalog } from '../../src/catalog/catalog.ts'
import { localKeyProvider } from '../../src/catalog/credentials.ts'
import { leaseMove } from '../../src/catalog/moves.ts'
import { parseConfig } from '../../src/config.ts'
import { readMigrations } from '../../src/migrations/files.ts'
import { driveLeased } from '../../src/moves/drive.ts'
import { createServers } from '../../src/strategies/servers.ts'
import { configOf, type TestInstallation } from './installation.ts'

/** A process that moves tenants as versions did before they said by a lock that they live. */
export interface EarlierVersion {
  /** Takes a move over. @returns where it is in the end, or the code of what has ended the work */
  work(id: string): Promise<string>
  close(): Promise<void>
}

/** What a process works with; to be closed. */
export function openWorkshop({ name, masterKey }: TestInstallation) {
  const config = parseConfig(configOf(name, masterKey, 'rls', {}))
  const servers = createServers(config, async () => null)
  const catalog = openCatalog(servers.primary.administrator.urlOf(`${name}_catalog`), name)
  return {
    workshop: {
      installation: name,
      catalog,
      servers,
      masterKey: Buffer.from(masterKey, 'base64'),
      keyProvider: config.keyProvider ?? localKeyProvider(Buffer.from(masterKey, 'base64')),
      requireTls: false,
      migrations: () => readMigrations(config.migrations),
    },
    close: async () => {
      await Promise.all([catalog.close(), servers.close()])
    },
  }
}

export function openEarlierVersion(installation: TestInstallation): EarlierVersion {
  const { workshop, close } = openWorkshop(installation)
  const { catalog } = workshop
  return {
    async work(id) {
      const held = await leaseMove(catalog.db, id, { asked: true })
      await catalog.db.updateTable('move').set({ locked_lease: null }).where('id', '=', id).execute()
      const working = driveLeased(workshop, held, { copyShare: 1 })
      return await working.then(
        ({ state }) => state,
        (error) => String(error.code),
      )
    },
    close,
  }
}
