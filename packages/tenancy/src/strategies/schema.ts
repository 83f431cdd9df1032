import { quoteIdentifier, tenantSchemaName } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { applyMigrations } from '../migrations/apply.ts'
import {
  type Blueprint,
  blueprintKey,
  createPlaceSchema,
  drawBlueprint,
  replayBlueprint,
} from '../migrations/blueprint.ts'
import { primaryServer } from '../server-config.ts'
import { requireShared } from './databases.ts'
import type { StrategyHandler, Workshop } from './strategy.ts'
import { countTenantRows, deleteTenantRows } from './tenant-rows.ts'

/** The newest one, drawn when the first schema was made. */
const blueprints = new WeakMap<Workshop, Blueprint>()

/** A schema of its own in a shared database. */
export const schema: StrategyHandler = {
  name: 'schema',
  choose: async (workshop, tenantId) => ({
    database: await requireShared(workshop, primaryServer),
    schemaName: tenantSchemaName(tenantId),
  }),
  build: async (workshop, tenantId, place) => {
    const files = await workshop.migrations()
    const own = { schema: place.schemaName, tenantId }
    await workshop.servers.pooled(place.database, async (client) => {
      const known = blueprints.get(workshop)
      if (known?.key === blueprintKey(files) && (await replayBlueprint(client, own, known, files))) return
      await client.query(createPlaceSchema(place.schemaName))
      const target = { databaseName: place.database.name, schema: place.schemaName }
      const statements: string[] = []
      const applied = await applyMigrations(
        client,
        { ...target, wall: { kind: 'schema', tenantId } },
        files,
        statements,
      )
      if (applied < files.length || known?.key === blueprintKey(files)) return
      blueprints.set(workshop, await drawBlueprint(client, own, files, statements))
    })
  },
  inspect: async (workshop, tenantId, place) =>
    await workshop.servers.pooled(place.database, async (client) => {
      const { rowCount } = await client.query(
        `select from pg_namespace where nspname = $1
         union all select from quickscale.migration where schema_name = $1`,
        [place.schemaName],
      )
      const schema = { kind: 'schema', name: place.schemaName, count: 1 } as const
      return [
        ...(rowCount === 0 ? [] : [schema]),
        ...(await countTenantRows(client, place.schemaName, tenantId)),
        ...(await countTenantRows(client, sharedSchema, tenantId)),
      ]
    }),
  demolish: async (workshop, tenantId, place) => {
    await workshop.servers.pooled(place.database, async (client) => {
      await inTransaction(client, async () => {
        await client.query(`drop schema if exists ${quoteIdentifier(place.schemaName)} cascade`)
        await client.query('delete from quickscale.migration where schema_name = $1', [place.schemaName])
      })
      await deleteTenantRows(client, sharedSchema, tenantId)
    })
  },
}

/** A tenant with a schema of its own can write rows into the shared tables too, by qualified names. */
const sharedSchema = 'app'
