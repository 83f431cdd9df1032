/**
 * Tries to reach one tenant's rows from another's session, in every table, in every way that SQL offers: by reading, by
 * changing, by deleting, by inserting, by id, by tenant_id, by qualified name. What counts is what happened, in the
 * answers and in the rows of the one that was tried: not which error was raised.
 */
import pg from 'pg'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier, quoteQualified } from '../identifiers.ts'
import type { TenantHandle } from '../session/tenant-handle.ts'

/** What {@link assertIsolated} did. */
export interface IsolationReport {
  /** Tables that were tried. */
  readonly tables: readonly string[]
  /** Attempts made, all tables together. */
  readonly attempts: number
}

interface Target {
  readonly table: string
  /** Of the attacked tenant's place. */
  readonly schema: string
  readonly columns: readonly string[]
  readonly key: readonly string[]
}

/** What asking needs of a handle, whatever its table types. */
type Queried = Pick<TenantHandle, 'query'>

/** One way to get at another tenant's rows; throws nothing, answers what it achieved, or null. */
interface Attempt {
  readonly name: string
  readonly text: string
  readonly values: readonly unknown[]
  /** How many rows it may reach, where it is not refused: the attacker's own. */
  readonly allowed: number
}

/**
 * Proves that two tenants cannot reach each other. Both must hold rows with the same ids ({@link createTwins}); nothing is
 * kept of what is tried, because every attempt is rolled back.
 *
 * @returns what was tried
 * @throws QuickScaleError `ISOLATION_BREACHED` with every breach in `details.breaches`; `ISOLATION_UNTESTED` when a table
 *   is empty or the two hold different ids, so that nothing would be proved
 * @example
 * const report = await assertIsolated(left, right)
 * console.log(report.tables, report.attempts)
 */
export async function assertIsolated<DB>(
  left: TenantHandle<DB>,
  right: TenantHandle<DB>,
): Promise<IsolationReport> {
  const breaches: string[] = []
  const tables = new Set<string>()
  let attempts = 0
  for (const [attacker, victim] of [
    [left, right],
    [right, left],
  ] as const) {
    const victimId = await tenantIdOf(victim)
    for (const target of await findTargets(victim)) {
      tables.add(target.table)
      const before = await digest(victim, target)
      const own = await digest(attacker, target)
      assertComparable(target, own, before)
      for (const attempt of attemptsOn(target, victimId, own.rows)) {
        attempts += 1
        const reached = await tryOut(attacker, attempt)
        if (reached > attempt.allowed) breaches.push(`${attacker.key}: ${attempt.name} in ${target.table}`)
      }
      const after = await digest(victim, target)
      if (after.all !== before.all)
        breaches.push(`${attacker.key}: changed rows of ${victim.key} in ${target.table}`)
    }
  }
  if (breaches.length > 0) {
    throw new QuickScaleError('ISOLATION_BREACHED', { breaches, summary: breaches.join('; ') })
  }
  return { tables: [...tables].sort(), attempts }
}

async function tenantIdOf(tenant: Queried): Promise<string> {
  const { rows } = await tenant.query<{ id: string }>('select quickscale.tenant_id() as id')
  return rows[0]?.id ?? ''
}

/** The tables of a tenant's place, as the tenant itself sees them; those shared by all have no tenant_id. */
async function findTargets(tenant: Queried): Promise<readonly Target[]> {
  const { rows } = await tenant.query<Target>(
    `select relation.relname::text as "table", current_schema()::text as "schema",
            array(select attname::text from pg_catalog.pg_attribute
                   where attrelid = relation.oid and attnum > 0 and not attisdropped and attgenerated = ''
                     and attname <> 'tenant_id' order by attnum) as "columns",
            array(select attname::text from pg_catalog.pg_index
                    join pg_catalog.pg_attribute on attrelid = indrelid and attnum = any (indkey)
                   where indrelid = relation.oid and indisprimary and attname <> 'tenant_id'
                   order by attnum) as "key"
       from pg_catalog.pg_class as relation
      where relation.relnamespace = current_schema()::regnamespace and relation.relkind in ('r', 'p')
        and not relation.relispartition
        and exists (select from pg_catalog.pg_attribute
                     where attrelid = relation.oid and attname = 'tenant_id' and not attisdropped)
      order by 1`,
  )
  return rows
}

interface Digest {
  readonly rows: number
  readonly keys: string
  readonly all: string
}

/** What a tenant holds in a table; read in its own session, so that it counts what the tenant would miss. */
async function digest(tenant: Queried, { table, key }: Target): Promise<Digest> {
  const keys = key.length === 0 ? "''" : `concat_ws('|', ${key.map(quoteIdentifier).join(', ')})`
  const { rows } = await tenant.query<Digest>(
    `select count(*)::integer as rows,
            coalesce(md5(string_agg(${keys}, ',' order by ${keys})), '') as keys,
            coalesce(md5(string_agg(md5(t::text), ',' order by md5(t::text))), '') as "all"
       from ${quoteIdentifier(table)} as t`,
  )
  return rows[0] ?? { rows: 0, keys: '', all: '' }
}

function assertComparable({ table }: Target, own: Digest, other: Digest): void {
  if (own.rows === 0 || other.rows === 0) {
    throw new QuickScaleError('ISOLATION_UNTESTED', { table, reason: 'it is empty for one of the tenants' })
  }
  if (own.keys !== other.keys) {
    throw new QuickScaleError('ISOLATION_UNTESTED', { table, reason: 'the tenants hold different keys' })
  }
}

function attemptsOn(target: Target, victimId: string, ownRows: number): Attempt[] {
  const { table, schema, columns, key } = target
  const name = quoteIdentifier(table)
  const foreign = quoteQualified(schema, table)
  const [column = 'tenant_id'] = columns
  const keys = key.map(quoteIdentifier).join(', ')
  const same = `set ${quoteIdentifier(column)} = ${quoteIdentifier(column)}`
  const list = columns.map(quoteIdentifier).join(', ')
  const attempt = (what: string, text: string, allowed = 0, values: readonly unknown[] = []): Attempt => ({
    name: what,
    text,
    values,
    allowed,
  })
  const victim = [victimId]
  return [
    attempt('read all rows', `select from ${name}`, ownRows),
    attempt('read by tenant_id', `select from ${name} where tenant_id = $1`, 0, victim),
    attempt('read by qualified name', `select from ${foreign} where tenant_id = $1`, 0, victim),
    attempt('updated all rows', `update ${name} ${same}`, ownRows),
    attempt('updated by tenant_id', `update ${name} ${same} where tenant_id = $1`, 0, victim),
    attempt('updated by qualified name', `update ${foreign} ${same} where tenant_id = $1`, 0, victim),
    attempt('gave rows away', `update ${name} set tenant_id = $1`, 0, victim),
    attempt('deleted by tenant_id', `delete from ${name} where tenant_id = $1`, 0, victim),
    attempt('deleted by qualified name', `delete from ${foreign} where tenant_id = $1`, 0, victim),
    attempt(
      'inserted for the other',
      `insert into ${name} (${list}, tenant_id) overriding system value select ${list}, $1 from ${name}`,
      0,
      victim,
    ),
    ...(keys === ''
      ? []
      : [
          attempt(
            'read by id',
            `select from ${name} where (${keys}) in (select ${keys} from ${name}) and tenant_id <> quickscale.tenant_id()`,
          ),
          attempt('joined by id', `select from ${name} as a join ${foreign} as b using (${keys})`, ownRows),
        ]),
  ]
}

/** Unique, foreign key, exclusion: asked after policies and CHECKs, so whoever hears of one has got past those. */
const constraints = new Set(['23505', '23503', '23P01'])

/** @returns how many rows it reached; refused means none */
async function tryOut<DB>(attacker: TenantHandle<DB>, attempt: Attempt): Promise<number> {
  let reached = 0
  try {
    await attacker.transaction(async (transaction) => {
      reached = (await transaction.query(attempt.text, [...attempt.values])).rowCount ?? 0
      throw new RolledBack()
    })
  } catch (error) {
    if (error instanceof RolledBack) return reached
    if (!(error instanceof pg.DatabaseError)) throw error
    return constraints.has(error.code ?? '') ? Number.POSITIVE_INFINITY : 0
  }
  return reached
}

/** Ends a transaction of which nothing is to stay. */
class RolledBack extends Error {}
