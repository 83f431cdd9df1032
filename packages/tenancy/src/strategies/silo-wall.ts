/**
 * The wall of a cloned database: CHECK and default that name its tenant. Finding out what they are asks PostgreSQL's
 * catalogs twice, over a connection that has yet to read them, and takes longer than the clone itself. Clones of one
 * template are told the same but for the tenant, so what the first one was told is kept, for this set of migrations.
 */
import pg from 'pg'
import { inTransaction } from '../in-transaction.ts'
import { raiseSiloWall } from '../layout/compile.ts'
import { OWN_CHECK, TENANT_COLUMN } from '../layout/shape.ts'
import { blueprintKey, recordStatements } from '../migrations/blueprint.ts'
import type { MigrationFile } from '../migrations/files.ts'
import type { Place, Workshop } from './strategy.ts'

interface Clone {
  readonly tenantId: string
  readonly place: Place
}

interface KnownWall {
  readonly key: string
  readonly tenantId: string
  readonly text: string
}

/** By server: the newest one. */
const walls = new WeakMap<Workshop['catalog'], Map<string, KnownWall>>()

/** Raises the wall of a clone after a look at its tables, and remembers how. */
export async function raiseWall(
  workshop: Workshop,
  client: pg.ClientBase,
  { tenantId, place }: Clone,
  files: readonly MigrationFile[],
): Promise<void> {
  const statements: string[] = []
  await inTransaction(client, () =>
    raiseSiloWall(recordStatements(client, statements), { schema: place.schemaName, tenantId }),
  )
  const named = statements.some((text) => text.includes(tenantId))
  // A clone whose wall stood already, or that has other migrations than ours, says nothing about the next one.
  if (!named || !(await hasJust(client, place, files))) return
  const known = walls.get(workshop.catalog) ?? new Map<string, KnownWall>()
  walls.set(workshop.catalog, known)
  known.set(place.database.server, { key: blueprintKey(files), tenantId, text: statements.join(SEPARATOR) })
}

/**
 * Raises the wall of a clone as that of the first one was raised.
 *
 * @returns false when the clone has other migrations, or a table would be left without: then it has to be looked at
 */
export async function raiseKnownWall(
  workshop: Workshop,
  client: pg.ClientBase,
  { tenantId, place }: Clone,
  files: readonly MigrationFile[],
): Promise<boolean> {
  const known = walls.get(workshop.catalog)?.get(place.database.server)
  if (place.database.ready || known?.key !== blueprintKey(files)) return false
  if (!(await hasJust(client, place, files))) return false
  if (await isWalled(client)) return false
  const text = known.text.replaceAll(known.tenantId, tenantId)
  try {
    // Several statements in one string are one transaction.
    await client.query([text, assertion].join(SEPARATOR))
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === unwalled) return false
    throw error
  }
}

/** Whether the clone has these migrations and no others. */
async function hasJust(
  client: pg.ClientBase,
  { schemaName }: Place,
  files: readonly MigrationFile[],
): Promise<boolean> {
  const { rows } = await client.query<{ name: string; digest: string }>(
    'select name, digest from quickscale.migration where schema_name = $1',
    [schemaName],
  )
  const applied = new Map(rows.map(({ name, digest }) => [name, digest]))
  return rows.length === files.length && files.every(({ name, digest }) => applied.get(name) === digest)
}

/** An earlier attempt was interrupted after it. */
async function isWalled(client: pg.ClientBase): Promise<boolean> {
  const { rowCount } = await client.query('select from pg_constraint where conname = $1 limit 1', [OWN_CHECK])
  return rowCount === 1
}

/** SQLSTATE of the assertion. */
const unwalled = 'QS020'

const assertion = `do $assert$
begin
  if exists (
    select from pg_catalog.pg_class
     where relnamespace = 'app'::pg_catalog.regnamespace and relkind in ('r', 'p') and not relispartition
       and exists (select from pg_catalog.pg_attribute
                    where attrelid = pg_class.oid and attname = '${TENANT_COLUMN}' and not attisdropped)
       and not exists (select from pg_catalog.pg_constraint
                        where conrelid = pg_class.oid and conname = '${OWN_CHECK}')) then
    raise exception 'a table of the clone has no wall' using errcode = '${unwalled}';
  end if;
end
$assert$`

/** On a line of its own: a statement may end with a comment. */
const SEPARATOR = '\n;\n'
