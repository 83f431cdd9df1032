import { applyMigrations } from '../migrations/apply.ts'
import { buildDatabase } from './databases.ts'
import type { Place, Workshop } from './strategy.ts'

/** Makes the shared database of a place, when it was registered because all others are full. Repeatable. */
export async function ensureShared(workshop: Workshop, { database }: Place): Promise<void> {
  if (database.ready) return
  const files = await workshop.migrations()
  await buildDatabase(workshop, database, async (client) => {
    const target = { databaseName: database.name, schema: 'app', wall: { kind: 'rls' } as const }
    await applyMigrations(client, target, files)
  })
}
