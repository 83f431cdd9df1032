import { quoteIdentifier, quoteQualified } from '../../identifiers.ts'
import { reservedName } from '../refused.ts'
import { type LayoutRefusal, RESERVED_PREFIX, type Shape, type Trigger } from '../shape.ts'

const GUARD = `${RESERVED_PREFIX}keep_tenant`
/** Built-in functions that look at nothing but the row. */
const BUILT_IN = new Set([
  'suppress_redundant_updates_trigger',
  'tsvector_update_trigger',
  'tsvector_update_trigger_column',
])

/** A referential action is not checked by the policy: behind a trigger that may change its row stands one that looks
 * whether the row is still the tenant's. */
export function guardTables(shape: Shape): string[] {
  return shape.tables.flatMap(({ oid, name, shared }) => {
    if (shared) return []
    const on = quoteQualified(shape.schema.name, name)
    const own = shape.triggers.filter(({ relationOid }) => relationOid === oid)
    const guarded = own.some(isGuard)
    const needed = own.some((trigger) => !isGuard(trigger) && trigger.changesUpdatedRow)
    if (needed === guarded) return []
    return needed
      ? [
          `create trigger ${quoteIdentifier(GUARD)} after update on ${on} for each row
             when (old.tenant_id is distinct from new.tenant_id) execute function quickscale.keep_tenant()`,
        ]
      : [`drop trigger ${quoteIdentifier(GUARD)} on ${on}`]
  })
}

export function refuseTriggers(shape: Shape): LayoutRefusal[] {
  return shape.triggers.filter((trigger) => !isGuard(trigger)).flatMap((trigger) => refuse(shape, trigger))
}

function refuse(shape: Shape, trigger: Trigger): LayoutRefusal[] {
  const object = trigger.identity
  const refusals: LayoutRefusal[] = []
  const add = (reason: string, remedy: string) => refusals.push({ kind: 'trigger', object, reason, remedy })
  if (trigger.name.startsWith(RESERVED_PREFIX)) refusals.push(reservedName('trigger', object))
  if (trigger.enabled === 'R' || trigger.enabled === 'A') {
    add(
      'it would run once more where the rows of a tenant are copied',
      'Leave ENABLE ALWAYS and ENABLE REPLICA out.',
    )
  }
  const ours = trigger.functionSchema === shape.schema.name
  const builtIn = trigger.functionSchema === 'pg_catalog' && BUILT_IN.has(trigger.functionName)
  if (!builtIn && mayMoveUnseen(shape, trigger)) {
    add(
      "a referential action may move its row to another partition, where nothing looks whether it is still the tenant's",
      'Change the row in the application, or leave ON UPDATE CASCADE, ON DELETE SET NULL and SET DEFAULT out.',
    )
  }
  if (!ours && !builtIn) {
    add(
      `nobody has reviewed whether ${trigger.functionSchema}.${trigger.functionName}() keeps tenants apart`,
      'Use a trigger function of the same migrations, in sql or plpgsql.',
    )
  }
  return refusals
}

/** A row that moves between partitions is deleted and inserted: AFTER UPDATE, and with it the guard, is not called. */
function mayMoveUnseen(shape: Shape, trigger: Trigger): boolean {
  const table = shape.tables.find(({ oid }) => oid === trigger.relationOid)
  const partitioned = table !== undefined && (table.kind === 'p' || table.partitionOf !== null)
  if (!partitioned || !(trigger.changesUpdatedRow || trigger.changesInsertedRow)) return false
  const root = rootOf(shape, table.oid)
  return shape.tables
    .filter(({ oid }) => rootOf(shape, oid) === root)
    .some(({ constraints }) =>
      constraints.some(
        ({ type, onUpdate, onDelete }) =>
          type === 'f' && (onUpdate === 'c' || onDelete === 'n' || onDelete === 'd'),
      ),
    )
}

/** The table that this one is a partition of, at any depth. */
function rootOf({ tables }: Shape, oid: string): string {
  const above = new Map(tables.map((table) => [table.oid, table.partitionOf]))
  let root = oid
  for (let depth = 0; depth <= tables.length; depth += 1) root = above.get(root) ?? root
  return root
}

function isGuard({ name, functionSchema, functionName }: Trigger): boolean {
  return name === GUARD && functionSchema === 'quickscale' && functionName === 'keep_tenant'
}
