import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { layoutRefused } from '../refused.ts'
import type { LayoutRefusal } from '../shape.ts'
import { separateTable, withoutCollation, withoutExpressions, withoutType } from './keep-rows.ts'

const inventory = readFileSync(new URL('../../../sql/layout/objects.sql', import.meta.url), 'utf8')

/** An object of the place, as PostgreSQL names it. */
interface PlaceObject {
  readonly address: string
  readonly kind: string
  readonly identity: string
  readonly short: string | null
  /** The relation it is a part of, and its own name there. */
  readonly relation: string | null
  readonly part: string | null
}

const dropWords: Readonly<Record<string, string>> = {
  'composite type': 'type',
  'statistics object': 'statistics',
}

/**
 * Drops what the layout has refused, with everything that depends on it.
 *
 * @returns the refusals, and one for each object that was dragged along
 * @throws QuickScaleError `LAYOUT_REFUSED` with the refusals that name nothing that could be dropped
 */
export async function dropRefused(
  client: pg.ClientBase,
  schema: string,
  refusals: readonly LayoutRefusal[],
): Promise<LayoutRefusal[]> {
  const before = await readObjects(client, schema)
  const targets = refusals.map((refusal) => ({ refusal, target: findTarget(before, refusal) }))
  const unknown = targets.flatMap(({ refusal, target }) => (target ? [] : [refusal]))
  if (unknown.length > 0) throw layoutRefused(unknown)
  const named = new Set(targets.map(({ target }) => target?.address))
  const dragged: LayoutRefusal[] = []
  let present = before
  // A column cannot change its collation while another one holds rows of its table.
  const ordered = [...targets].sort((a, b) => rankOf(a.target) - rankOf(b.target))
  for (const { refusal, target } of ordered) {
    if (!target || !present.some(({ address }) => address === target.address)) continue
    await client.query(remedyStatement(schema, refusal, target))
    const left = await readObjects(client, schema)
    dragged.push(...lost(present, left, target, refusal).filter(({ address }) => !named.has(address)))
    present = left
  }
  return [
    ...refusals,
    ...dragged.map(({ kind, object, reason, remedy }) => ({ kind, object, reason, remedy })),
  ]
}

function rankOf(target: PlaceObject | undefined): number {
  return target?.kind === 'collation' ? 1 : 0
}

async function readObjects(client: pg.ClientBase, schema: string): Promise<PlaceObject[]> {
  await client.query('set local search_path to pg_catalog, pg_temp')
  const { rows } = await client.query<PlaceObject>(inventory, [schema])
  await client.query('reset search_path')
  return rows
}

/** Refusals name objects as their authors do; the kind decides where a column and a constraint share a name. */
function findTarget(
  objects: readonly PlaceObject[],
  { kind, object }: LayoutRefusal,
): PlaceObject | undefined {
  const candidates = objects.filter(isNamed(object))
  const wanted = partKind(kind)
  return (
    candidates.find((candidate) => candidate.kind === kind) ??
    candidates.find((candidate) => candidate.kind === wanted) ??
    candidates.find(({ part }) => part === null) ??
    candidates[0]
  )
}

/** An index of a key goes by the name that the key has. */
function isNamed(object: string): (candidate: PlaceObject) => boolean {
  return ({ kind, identity, short, part }) =>
    identity === object || short === object || (kind === 'table constraint' && part === object)
}

function partKind(kind: string): string {
  if (kind.includes('index')) return 'index'
  if (kind === 'default') return 'default value'
  if (kind.includes('column')) return 'table column'
  if (/constraint|key|check/.test(kind)) return 'table constraint'
  return kind
}

/** The least that answers a refusal: most often a DROP. */
function remedyStatement(schema: string, refusal: LayoutRefusal, target: PlaceObject): string {
  const { kind, identity, relation, part } = target
  if (kind === 'table' && refusal.kind === 'row level security')
    return `alter table ${identity} no force row level security, disable row level security`
  if (kind === 'table' && refusal.kind === 'unlogged table') return `alter table ${identity} set logged`
  if (kind === 'table' && refusal.kind === 'typed table') return `alter table ${identity} not of`
  if (kind === 'table' && refusal.kind === 'inheritance') return separateTable(identity)
  if (kind === 'collation') return withoutCollation(identity)
  // It is a table of tenants then, which loses no row.
  if (kind === 'table' && refusal.kind === 'shared table') return `comment on table ${identity} is null`
  if (kind === 'table' && refusal.kind === 'rows') return `truncate ${identity} cascade`
  if (relation === null || part === null)
    return `${withoutExpressions(addressOf(target))}; drop ${dropWords[kind] ?? kind} ${identity} cascade`
  const on = `alter table ${quoteQualified(schema, relation)}`
  switch (kind) {
    case 'table column':
      if (refusal.kind === 'column type') return withoutType(quoteQualified(schema, relation), part)
      return refusal.kind === 'generated column'
        ? `${on} alter column ${quoteIdentifier(part)} drop expression`
        : `${on} drop column ${quoteIdentifier(part)} cascade`
    case 'default value':
      return `${on} alter column ${quoteIdentifier(part)} drop default`
    case 'table constraint':
      return `${on} drop constraint ${quoteIdentifier(part)} cascade`
    default:
      return `drop ${kind} ${identity} cascade`
  }
}

function addressOf({ address }: PlaceObject): { catalog: number; object: number } {
  const [catalog, object] = address.split(' ').map(Number)
  return { catalog: catalog ?? 0, object: object ?? 0 }
}

/** What is gone beside the target, but for the parts of what is gone as a whole. */
function lost(
  before: readonly PlaceObject[],
  after: readonly PlaceObject[],
  target: PlaceObject,
  refusal: LayoutRefusal,
): (LayoutRefusal & { address: string })[] {
  // A column that changes its type has its indexes made again, each with the name it had.
  const kept = new Set(after.flatMap(({ address, kind, identity }) => [address, `${kind} ${identity}`]))
  const gone = before.filter(
    ({ address, kind, identity }) =>
      !kept.has(address) && !kept.has(`${kind} ${identity}`) && address !== target.address,
  )
  const wholes = new Set(
    [target, ...gone].flatMap(({ short, part }) => (part === null && short ? [short] : [])),
  )
  const columns = new Set(
    [target, ...gone].flatMap(({ kind, short }) => (kind === 'table column' && short ? [short] : [])),
  )
  return gone
    .filter(({ relation }) => relation === null || !wholes.has(relation))
    .filter(({ kind, short }) => kind !== 'default value' || !columns.has(short ?? ''))
    .map(({ address, kind, identity, short }) => ({
      address,
      kind,
      object: short ?? identity,
      reason: `it depends on ${refusal.kind} ${refusal.object}`,
      remedy: refusal.remedy,
    }))
}
