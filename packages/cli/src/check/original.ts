import { type Renamed, renameTenantColumns } from '@quickscale/tenancy/layout'
import type pg from 'pg'
import { limits } from '../limits.ts'
import { type LoadReport, loadScript } from '../load/load.ts'
import type { Refusal } from '../report.ts'
import { type Catalog, readCatalog } from './catalog.ts'
import { connected, type Stage } from './stage.ts'

/** The script's own database, unmodified but for the names of columns called tenant_id. */
export interface Original {
  readonly database: string
  readonly url: string
  readonly schemas: readonly string[]
  readonly catalog: Catalog
  readonly load: LoadReport
  /** Columns that are called as the layout's own in a place. */
  readonly renamed: readonly Renamed[]
}

/** Schemas of the script: neither PostgreSQL's nor an extension's. */
const SCHEMAS = `
  select nspname::text as name from pg_namespace
   where nspname !~ '^pg_' and nspname <> 'information_schema'
     and not exists (select from pg_depend where classid = 'pg_namespace'::regclass and objid = pg_namespace.oid and deptype = 'e')
   order by nspname <> 'public', nspname`

/** @throws QuickScaleError `SCRIPT_UNUSABLE` */
export async function loadOriginal(
  stage: Stage,
  path: string,
  onProgress: (bytes: number) => void,
): Promise<Original> {
  const database = `${stage.prefix}_original`
  await connected(stage.url, (client) =>
    client.query(`create database ${database} template template0 encoding 'UTF8'`),
  )
  await connected(stage.url, (client) =>
    client.query(`alter database ${database} set maintenance_work_mem = '${limits.indexMemoryMiB}MB'`),
  )
  const url = stage.urlOf(database)
  const load = await connected(url, (client) => loadScript(client, path, onProgress))
  return await connected(url, async (client) => {
    await client.query('analyze')
    const { rows } = await client.query<{ name: string }>(SCHEMAS)
    const schemas = rows.map(({ name }) => name)
    const renamed = await renameTenantColumns(client, schemas)
    return {
      database,
      url,
      schemas,
      catalog: await readCatalog(client, { schemas, place: false }),
      load,
      renamed,
    }
  })
}

/** The original without rows, and without what would act on a whole database; places are copies of it. */
export interface Blank {
  readonly database: string
  readonly refused: readonly Refusal[]
  /** The script's schemas there; two names are the library's own and had to give way. */
  readonly schemas: readonly { readonly original: string; readonly blank: string }[]
}

const reserved = new Set(['quickscale', 'app'])

export async function makeBlank(stage: Stage, original: Original): Promise<Blank> {
  const database = `${stage.prefix}_blank`
  await copyDatabase(stage, database, original.database)
  return await connected(stage.urlOf(database), async (client) => {
    // Triggers of the script must not fire, and keys must not forbid the order.
    await client.query('set session_replication_role = replica')
    const refused = await dropDatabaseWide(client)
    await truncate(client, original.schemas)
    const schemas: { original: string; blank: string }[] = []
    for (const name of original.schemas) {
      const blank = reserved.has(name) ? `${name}_of_script` : name
      if (blank !== name) await client.query(`alter schema ${name} rename to ${blank}`)
      schemas.push({ original: name, blank })
    }
    return { database, refused, schemas }
  })
}

export async function copyDatabase(stage: Stage, name: string, template: string): Promise<void> {
  await connected(stage.url, (client) => client.query(`create database ${name} template ${template}`))
}

async function dropDatabaseWide(client: pg.Client): Promise<Refusal[]> {
  const { rows } = await client.query<{ kind: string; name: string; statement: string; reason: string }>(
    `select 'event trigger' as kind, evtname::text as name, format('drop event trigger %I', evtname) as statement,
            'it acts on every tenant and on the layout itself' as reason
       from pg_event_trigger
     union all
     select 'publication', pubname, format('drop publication %I', pubname), 'it would send the rows of every tenant'
       from pg_publication
     union all
     select 'large object', oid::text, format('select lo_unlink(%s)', oid),
            'large objects belong to the database, not to a tenant'
       from pg_largeobject_metadata`,
  )
  for (const { statement } of rows) await client.query(statement)
  return rows.map(({ kind, name, reason }) => ({ kind, object: name, reason, remedy: REMEDIES[kind] ?? '' }))
}

const REMEDIES: Readonly<Record<string, string>> = {
  'event trigger': 'Do its work in the migrations, or in a tool beside them.',
  publication: 'Publish from a database of the tenant’s own, after it has been provisioned.',
  'large object': 'Store the bytes in a bytea column, or outside the database.',
}

async function truncate(client: pg.Client, schemas: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ list: string | null }>(
    `select string_agg(format('%I.%I', nspname, relname), ', ') as list
       from pg_class join pg_namespace on pg_namespace.oid = relnamespace
      where relkind in ('r', 'p') and nspname = any($1)`,
    [schemas],
  )
  if (rows[0]?.list) await client.query(`truncate ${rows[0].list}`)
}
