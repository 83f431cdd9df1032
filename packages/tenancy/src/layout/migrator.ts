import type pg from 'pg'
import { quoteIdentifier } from '../identifiers.ts'
import { EXTENSIONS_SCHEMA } from './reviewed-extensions.ts'
import { MIGRATOR_ROLE } from './shape.ts'

/** What `search_path` is for a tenant of a place, and for the migrations of that place. */
export function placeSearchPath(schema: string): string {
  return `${quoteIdentifier(schema)}, ${EXTENSIONS_SCHEMA}, pg_temp`
}

/** Makes PostgreSQL print every name qualified that is not built in. */
export const PRINTING_PATH = 'set local search_path to pg_catalog, pg_temp'

/** Begins work as quickscale_migrator. The schema that introspection is asked for makes no other plan. */
const BEGIN = `set local role ${MIGRATOR_ROLE}; ${PRINTING_PATH}; set local plan_cache_mode to force_generic_plan`
const END = 'reset role; reset search_path; reset plan_cache_mode'

/** Runs `work` inside that of {@link asMigrator} as the administrator. */
export async function asAdministrator<Result>(
  client: pg.ClientBase,
  work: () => Promise<Result>,
): Promise<Result> {
  await client.query(END)
  const result = await work()
  await client.query(BEGIN)
  return result
}

/**
 * Runs `work` as quickscale_migrator inside the caller's transaction; role, search_path and plan_cache_mode are reset afterwards.
 * After an error the transaction is lost, and its settings with it.
 */
export async function asMigrator<Result>(
  client: pg.ClientBase,
  work: () => Promise<Result>,
): Promise<Result> {
  await client.query(BEGIN)
  const result = await work()
  await client.query(END)
  return result
}
