import { quoteIdentifier } from '../../identifiers.ts'
import { reservedName } from '../refused.ts'
import {
  CALLED_ROLE,
  type LayoutRefusal,
  MIGRATOR_ROLE,
  OWNER_ROLE,
  RESERVED_PREFIX,
  type Routine,
  type Shape,
  type Wall,
} from '../shape.ts'
import { incompleteKeys } from './keys.ts'
import { completeBody, findBodyObjections } from './routine-bodies.ts'

const LANGUAGES = new Set(['sql', 'plpgsql'])
/** A function may set others for its own time. */
const CLOSED_SETTINGS =
  /^(role|session_authorization|session_replication_role|row_security|transaction_.*|default_transaction_.*|quickscale\..*)=/

const KINDS: Readonly<Record<string, string>> = {
  f: 'function',
  p: 'procedure',
  a: 'aggregate',
  w: 'function',
}

/**
 * What PostgreSQL calls by itself runs as quickscale_trigger, for which policies hold whoever the caller is: a
 * referential action would call it as the owner of the table and without policies, a migration with BYPASSRLS. All else
 * runs as its caller, a tenant.
 */
function isCalledByServer({ attached, returnsTrigger }: Routine): boolean {
  return attached || returnsTrigger
}

export function completeRoutines(shape: Shape): string[] {
  const schema = quoteIdentifier(shape.schema.name)
  const path = `set search_path = ${schema}, extensions, pg_temp`
  const bodies = shape.routines.flatMap((routine) => completedBody(routine))
  const alterations = shape.routines.flatMap((routine) => {
    const alter = `alter routine ${routine.identity}`
    const called = isCalledByServer(routine)
    const owner = called ? CALLED_ROLE : OWNER_ROLE
    // PostgreSQL refuses COMMIT and ROLLBACK to a procedure that has settings of its own.
    const needsPath = called || routine.kind === 'p' || routine.settings.some(isSearchPath)
    return [
      ...(called && !routine.definer ? [`${alter} security definer`] : []),
      ...(!called && routine.definer ? [`${alter} security invoker`] : []),
      ...(routine.leakproof ? [`${alter} not leakproof`] : []),
      ...(needsPath && !routine.placePath ? [`${alter} ${path}`] : []),
      ...(routine.owner === owner ? [] : [`${alter} owner to ${owner}`]),
    ]
  })
  const creates = alterations.some((statement) => statement.endsWith(CALLED_ROLE))
  return [
    ...(bodies.length > 0 ? ['set local check_function_bodies = off', ...bodies] : []),
    // A new owner has to have that right at the moment.
    ...(creates ? [`grant create on schema ${schema} to ${CALLED_ROLE}`] : []),
    ...alterations,
    ...(creates ? [`revoke create on schema ${schema} from ${CALLED_ROLE}`] : []),
  ]
}

export function refuseRoutines(shape: Shape, wall: Wall): LayoutRefusal[] {
  const lost = new Set(
    shape.tables.flatMap((table) => incompleteKeys(table, wall).map(({ key }) => key.name)),
  )
  return shape.routines.flatMap((routine) => [
    ...refuseRoutine(routine),
    ...(LANGUAGES.has(routine.language) ? refuseBody(shape, routine, lost) : []),
  ])
}

function refuseRoutine(routine: Routine): LayoutRefusal[] {
  const kind = KINDS[routine.kind] ?? 'function'
  const { identity: object, owner, language } = routine
  const refusals: LayoutRefusal[] = []
  const refuse = (reason: string, remedy: string) => refusals.push({ kind, object, reason, remedy })
  if (routine.name.startsWith(RESERVED_PREFIX)) refusals.push(reservedName(kind, object))
  if (![OWNER_ROLE, MIGRATOR_ROLE, CALLED_ROLE].includes(owner)) {
    refuse(`it belongs to the role ${owner}`, 'Create it in a migration, and leave its owner alone.')
  }
  if (routine.kind !== 'a' && !LANGUAGES.has(language)) {
    refuse(`code in the language ${language} is not bound by policies`, 'Write it in sql or plpgsql.')
  }
  if (routine.definer && !isCalledByServer(routine) && owner !== CALLED_ROLE) {
    refuse(
      'SECURITY DEFINER would run it with the rights of the owner of the tables',
      'Use SECURITY INVOKER: a tenant may use every table of its place.',
    )
  }
  if (routine.support) refuse('SUPPORT functions change plans of other tenants', 'Leave SUPPORT out.')
  for (const setting of routine.settings.filter((entry) => CLOSED_SETTINGS.test(entry))) {
    refuse(`SET ${setting.split('=')[0]} is the library's to do`, 'Leave the SET clause out.')
  }
  if (routine.ownGrants) {
    refusals.push({
      kind: 'grant',
      object,
      reason: 'its rights are not the ones the layout gives',
      remedy: 'Remove GRANT and REVOKE from the migration.',
    })
  }
  return refusals
}

function refuseBody({ schema }: Shape, routine: Routine, lost: ReadonlySet<string>): LayoutRefusal[] {
  const kind = KINDS[routine.kind] ?? 'function'
  const { identity: object, source, atomic, reliesOnKeys } = routine
  return [
    ...findBodyObjections(source, schema.name, atomic).map((objection) => ({ kind, object, ...objection })),
    ...reliesOnKeys
      .filter((key) => lost.has(key))
      .map((key) => ({
        kind,
        object,
        reason: `its body relies on the key ${key}, which will have tenant_id in it`,
        remedy: 'Write the body as a string, and group by every selected column.',
      })),
  ]
}

function completedBody({ source, atomic, language, definition }: Routine): string[] {
  if (atomic || definition === null || !LANGUAGES.has(language)) return []
  const body = completeBody(source)
  if (body === null) return []
  const at = definition.lastIndexOf(source)
  return [`${definition.slice(0, at)}${body}${definition.slice(at + source.length)}`]
}

function isSearchPath(setting: string): boolean {
  return setting.startsWith('search_path=')
}
