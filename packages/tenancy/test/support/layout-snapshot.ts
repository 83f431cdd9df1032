import type pg from 'pg'
import type { TestPlace } from './layout-database.ts'

/** Everything the catalogs say about a schema, line by line, in an order that does not depend on oids. */
const SNAPSHOT = `
  select concat_ws(' ', 'relation', relkind, relname, pg_get_userbyid(relowner), relrowsecurity, relforcerowsecurity,
                   reloptions, relacl, obj_description(oid, 'pg_class'), $2 || pg_class.xmin) as line
    from pg_class where relnamespace = $1::regnamespace
  union all
  select concat_ws(' ', 'column', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
                   pg_get_expr(adbin, adrelid), col_description(attrelid, attnum), $2 || pg_attribute.xmin)
    from pg_attribute join pg_class on pg_class.oid = attrelid left join pg_attrdef on adrelid = attrelid and adnum = attnum
   where relnamespace = $1::regnamespace and relkind in ('r', 'v') and attnum > 0
  union all
  select concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid),
                   obj_description(oid, 'pg_constraint'), $2 || xmin)
    from pg_constraint where connamespace = $1::regnamespace
  union all
  select concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisclustered, $2 || pg_index.xmin)
    from pg_index join pg_class on pg_class.oid = indexrelid where relnamespace = $1::regnamespace
  union all
  select concat_ws(' ', 'policy', polrelid::regclass, polname, polcmd, polroles, pg_get_expr(polqual, polrelid),
                   pg_get_expr(polwithcheck, polrelid), $2 || pg_policy.xmin)
    from pg_policy join pg_class on pg_class.oid = polrelid where relnamespace = $1::regnamespace
  union all
  select concat_ws(' ', 'view', relname, pg_get_viewdef(pg_class.oid))
    from pg_class where relnamespace = $1::regnamespace and relkind = 'v'
  union all
  select concat_ws(' ', 'sequence', seqrelid::regclass, format_type(seqtypid, null), seqstart, seqincrement, seqmin,
                   seqmax, seqcache, seqcycle)
    from pg_sequence join pg_class on pg_class.oid = seqrelid where relnamespace = $1::regnamespace
  union all
  select concat_ws(' ', 'type', typtype, typname, pg_get_userbyid(typowner), typacl, typnotnull, typdefault,
                   format_type(nullif(typbasetype, 0), typtypmod),
                   (select string_agg(enumlabel, ',' order by enumsortorder) from pg_enum where enumtypid = pg_type.oid),
                   (select string_agg(concat(attname, ' ', format_type(atttypid, atttypmod)), ',' order by attnum)
                      from pg_attribute where attrelid = typrelid and attnum > 0 and not attisdropped),
                   (select string_agg(concat(conname, ' ', pg_get_constraintdef(oid)), ',' order by conname)
                      from pg_constraint where contypid = pg_type.oid),
                   (select format_type(rngsubtype, null) from pg_range where rngtypid = pg_type.oid),
                   obj_description(oid, 'pg_type'), $2 || xmin)
    from pg_type where typnamespace = $1::regnamespace and typtype <> 'b'
     and not exists (select from pg_class where oid = typrelid and relkind <> 'c')
  union all
  select concat_ws(' ', 'schema', nspacl, pg_get_userbyid(nspowner)) from pg_namespace where oid = $1::regnamespace`

/** The catalogs' rows with the transactions that wrote them: any DDL at all changes it. */
export async function snapshotOfRows(client: pg.Client, place: TestPlace): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(SNAPSHOT, [place.schema, 'written by '])
  return rows.map(({ line }) => line).sort()
}

/** The shape without what may differ between walls: names of schema, tenant and grantee, the tenant's default, check
 * and policy. */
export async function snapshotOfShape(client: pg.Client, place: TestPlace): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(SNAPSHOT, [place.schema, null])
  const { wall } = place
  return rows
    .map(({ line }) =>
      line.replaceAll(place.schema, 'place').replaceAll('quickscale_silo', 'quickscale_runtime'),
    )
    .map((line) => (wall.kind === 'rls' ? line : line.replaceAll(` '${wall.tenantId}'::uuid`, '')))
    .map((line) => line.replaceAll(' quickscale.tenant_id()', ''))
    .filter((line) => !line.startsWith('policy') && !line.includes('quickscale_tenant_own'))
    .sort()
}

/** A line of the shape under the other walls as it is to be in a database of the tenant's own: tenant_id last in what is
 * unique, and absent from other indexes. */
export function inSilo(line: string): string {
  return line
    .replace(/^(constraint .* (?:PRIMARY KEY|UNIQUE[A-Z ]*)) \(tenant_id, ([^)]*)\)/, '$1 ($2, tenant_id)')
    .replace(/^(index CREATE UNIQUE .* btree) \(tenant_id, ([^)]*)\)/, '$1 ($2, tenant_id)')
    .replace(/^(index CREATE INDEX .* btree) \(tenant_id, /, '$1 (')
}

/** A line of the shape of shared tables as it is to be in a schema of the tenant's own. */
export function inOwnSchema(line: string): string {
  return line.replace(/^(index CREATE INDEX .* (?:gin|gist)) \(tenant_id, /, '$1 (')
}

/** One kind of line of the shape, for comparing with what is expected. */
export async function shapeLines(client: pg.Client, place: TestPlace, kind: string): Promise<string[]> {
  const lines = await snapshotOfShape(client, place)
  return lines
    .filter((line) => line.startsWith(`${kind} `) && !line.includes('NOT NULL '))
    .map((line) =>
      line
        .slice(kind.length + 1)
        .replaceAll('place.', '')
        .trimEnd(),
    )
}
