import { quoteIdentifier } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { applyMigrations } from '../migrations/apply.ts'
import {
  type Blueprint,
  blueprintKey,
  createPlaceSchema,
  drawBlueprint,
  replayBlueprint,
} from '../migrations/blueprint.ts'
import { ensureShared } from './shared.ts'
import { lockToMake, openPlace, type StrategyHandler, type Workshop, whileMaking } from './strategy.ts'
import { countTenantRows, deleteTenantRows } from './tenant-rows.ts'

/** The newest one of each database, by its id, drawn when its first schema was made. */
const blueprints = new WeakMap<Workshop['catalog'], Map<string, Blueprint>>()

/** A schema of its own in a shared database. */
export const schema: StrategyHandler = {
  name: 'schema',
  build: async (workshop, tenantId, place, opening) => {
    await ensureShared(workshop, place)
    const files = await workshop.migrations()
    const drawn = blueprints.get(workshop.catalog) ?? new Map<string, Blueprint>()
    blueprints.set(workshop.catalog, drawn)
    const own = { schema: place.schemaName, tenantId }
    await workshop.servers.pooled(place.database, async (client) => {
      const known = drawn.get(place.database.id)
      if (known?.key === blueprintKey(files)) {
        const around = opening && {
          first: lockToMake(opening),
          ready: opening.assertHeld,
          last: opening.statement,
        }
        if (await replayBlueprint(client, own, known, files, around)) return
      }
      const statements: string[] = []
      let applied = 0
      await whileMaking(client, opening, async () => {
        await client.query(createPlaceSchema(place.schemaName))
        const target = { databaseName: place.database.name, schema: place.schemaName }
        const wall = { kind: 'schema', tenantId } as const
        applied = await applyMigrations(client, { ...target, wall }, files, statements)
        await openPlace(client, opening)
      })
      if (applied < files.length || known?.key === blueprintKey(files)) return
      drawn.set(place.database.id, await drawBlueprint(client, own, files, statements))
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
