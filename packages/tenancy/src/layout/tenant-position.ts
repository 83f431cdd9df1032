import { type Index, type IndexKey, TENANT_COLUMN, type Wall } from './shape.ts'

/** Where tenant_id stands among the columns of a key or an index. */
type TenantPosition = 'first' | 'last' | 'absent'

/** Kinds of index that can have tenant_id beside other columns, and are searched faster with it. */
const LED_METHODS = new Set(['btree', 'gin', 'gist'])

const HELPERS: Readonly<Record<string, string>> = { gin: 'btree_gin', gist: 'btree_gist' }

const TENANT_KEY: IndexKey = {
  column: TENANT_COLUMN,
  expression: null,
  collation: null,
  operatorClass: null,
  options: [],
  descending: false,
  nullsFirst: false,
}

/**
 * The one place that decides it. A sealed policy supplies `tenant_id = …` to every query, so tenant_id comes first. In a
 * database of the tenant's own nothing supplies it, and in front it would keep queries from the columns behind it
 * (before PostgreSQL 18 there is no skip scan): there it comes last in what is unique, where foreign keys and
 * ON CONFLICT need it and match columns as a set, and is absent from every other index. In a schema of the tenant's own
 * the policy supplies it, but all rows are the tenant's: a GIN or GiST index would look for all of them beside those it is
 * asked for, which doubles the time of a search, so tenant_id is absent there too. Hash and SP-GiST indexes have one
 * column, and a block range index would gain nothing: rows of all tenants lie mixed.
 */
export function tenantPosition(
  { kind }: Wall,
  { method, unique }: Pick<Index, 'method' | 'unique'>,
): TenantPosition {
  if (!canBeLed({ method })) return 'absent'
  if (kind === 'database') return unique ? 'last' : 'absent'
  return kind === 'rls' || unique || method === 'btree' ? 'first' : 'absent'
}

/** Whether tenant_id can stand in front of other columns in an index of this kind. */
export function canBeLed({ method }: Pick<Index, 'method'>): boolean {
  return LED_METHODS.has(method)
}

/** The extension that gives an index of this kind operators for a uuid. */
export function helperOf(wall: Wall, index: Pick<Index, 'method' | 'unique'>): string | undefined {
  return tenantPosition(wall, index) === 'absent' ? undefined : HELPERS[index.method]
}

/** The key columns an index is to have. */
export function completeColumns(wall: Wall, index: Index): readonly IndexKey[] {
  const own = index.keys.filter(({ column }) => column !== TENANT_COLUMN)
  const position = tenantPosition(wall, index)
  if (position === 'first') return [TENANT_KEY, ...own]
  if (position === 'last' && index.withoutOverlaps) return [...own.slice(0, -1), TENANT_KEY, ...own.slice(-1)]
  // No index is left without columns.
  return position === 'last' || own.length === 0 ? [...own, TENANT_KEY] : own
}

/** Whether tenant_id stands where it belongs. */
export function hasCompleteColumns(wall: Wall, index: Index): boolean {
  const wanted = completeColumns(wall, index)
  return (
    wanted.length === index.keys.length &&
    wanted.every((key, at) => {
      const found = index.keys[at]
      return key.column === found?.column && key.expression === found?.expression
    })
  )
}
