import { quoteQualified } from '../../identifiers.ts'
import { reservedName } from '../refused.ts'
import { EXTENSIONS_SCHEMA } from '../reviewed-extensions.ts'
import {
  type LayoutRefusal,
  MIGRATOR_ROLE,
  OWNER_ROLE,
  type OwnType,
  RESERVED_PREFIX,
  type Shape,
  type TypeUse,
} from '../shape.ts'

/** Types whose values mean something in one database only, so that they cannot move with a tenant. */
const LOCAL_TYPES = new Set(['oid', 'xid', 'xid8', 'cid', 'tid', 'pg_snapshot', 'txid_snapshot', 'refcursor'])
/** base, range, multirange; the others are made by someone. */
const BUILT_IN_KINDS = new Set(['b', 'r', 'm'])

const KINDS: Readonly<Record<string, string>> = {
  c: 'composite type',
  d: 'domain',
  e: 'enum',
  r: 'range type',
}

/** Each place has types of its own, so that its migrations can change them without another place. */
export function completeTypes(shape: Shape): string[] {
  return shape.types
    .filter(({ owner }) => owner !== OWNER_ROLE)
    .flatMap(({ name, ownedMultirange }) => [
      quoteQualified(shape.schema.name, name),
      ...(ownedMultirange === null ? [] : [ownedMultirange]),
    ])
    .map((type) => `alter type ${type} owner to ${OWNER_ROLE}`)
}

export function refuseTypes(shape: Shape): LayoutRefusal[] {
  return shape.types.flatMap((type) => [...refuseOwnType(type), ...refusePieces(shape, type)])
}

function refuseOwnType(type: OwnType): LayoutRefusal[] {
  const kind = KINDS[type.kind] ?? 'type'
  const refusals: LayoutRefusal[] = []
  if (type.name.startsWith(RESERVED_PREFIX)) refusals.push(reservedName(kind, type.name))
  if (type.owner !== OWNER_ROLE && type.owner !== MIGRATOR_ROLE) {
    refusals.push({
      kind,
      object: type.name,
      reason: `it belongs to the role ${type.owner}`,
      remedy: 'Create it in a migration, and leave its owner alone.',
    })
  }
  if (type.ownGrants) {
    refusals.push({
      kind: 'grant',
      object: type.name,
      reason: 'its rights are not the ones the layout gives',
      remedy: 'Remove GRANT and REVOKE from the migration.',
    })
  }
  if (type.usesSequence) {
    refusals.push({
      kind: 'default',
      object: type.name,
      reason: 'tenants have no right on sequences',
      remedy: 'Use an identity column in place of a domain whose default counts.',
    })
  }
  return refusals
}

function refusePieces(shape: Shape, type: OwnType): LayoutRefusal[] {
  return type.pieces.flatMap((piece) =>
    refuseTypeUse(shape, piece.name === null ? type.name : `${type.name}.${piece.name}`, piece),
  )
}

/** Refuses a type as that of a column, or of a part of another type. */
export function refuseTypeUse(shape: Shape, object: string, use: TypeUse): LayoutRefusal[] {
  const builtIn = use.typeSchema === 'pg_catalog' && BUILT_IN_KINDS.has(use.typeKind)
  const local = LOCAL_TYPES.has(use.baseType) || use.baseType.startsWith('reg')
  if (builtIn && !local) return []
  if (use.typeSchema === shape.schema.name && use.typeKind !== 'row') return []
  // Which extension it comes from is looked at with all that is used from elsewhere.
  if (use.typeSchema === EXTENSIONS_SCHEMA && use.typeKind !== 'row') return []
  const refuse = (reason: string, remedy: string): LayoutRefusal[] => [
    { kind: 'column type', object, reason, remedy },
  ]
  if (builtIn) {
    return refuse(
      `values of type ${use.type} mean nothing in another database`,
      'Store a value of your own instead.',
    )
  }
  if (use.typeKind === 'row') {
    return refuse(
      `${use.type} is the row type of a table, to which tenant_id is added`,
      'List the columns in a composite type (CREATE TYPE … AS), or reference the row.',
    )
  }
  return refuse(
    `${use.type} is neither built in nor in the schema`,
    'Use a built-in type or one of your own.',
  )
}
