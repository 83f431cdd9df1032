import { createHash } from 'node:crypto'
import { blueprintKey } from '../migrations/blueprint.ts'
import { sqlFiles } from '../sql-files.ts'
import type { Workshop } from '../strategies/strategy.ts'

/** What a database has to have been brought up to, to be as good as a new one: a digest of objects and migrations. */
export async function wantedShape(workshop: Workshop): Promise<string> {
  const objects = (await sqlFiles('tenant-database')).map(({ name }) => name).join('\n')
  const migrations = blueprintKey(await workshop.migrations())
  return createHash('sha256').update(`${objects}\n\n${migrations}`).digest('base64url')
}
