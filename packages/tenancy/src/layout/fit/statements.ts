import type { Node } from 'libpg-query'
import { type LayoutRefusal, TENANT_COLUMN } from '../shape.ts'

const ROWS: Omit<LayoutRefusal, 'object'> = {
  kind: 'rows',
  reason: 'the migration puts rows into it, and a row needs a tenant',
  remedy:
    'Insert them in the seed function of the configuration, which runs for each tenant; into @shared tables by plain INSERT, without a schema.',
}
const CODE: Omit<LayoutRefusal, 'object'> = {
  kind: 'anonymous code',
  reason: 'what it does to complete tables cannot be seen',
  remedy: 'Write its statements plainly into the migration.',
}
const WALL: Omit<LayoutRefusal, 'object'> = {
  kind: 'tenant wall',
  reason: `the migration takes away or renames ${TENANT_COLUMN}, by which the rows of tenants are told apart`,
  remedy: `Leave ${TENANT_COLUMN} alone.`,
}

/** What belongs to the server or the database, not to a tenant's schema: what it is, why not, and what instead. */
const BELONGS_ELSEWHERE: Readonly<Record<string, readonly [kind: string, reason: string, remedy: string]>> = {
  CreatePublicationStmt: [
    'publication',
    'it would send the rows of all tenants',
    'Let the library move tenants.',
  ],
  AlterPublicationStmt: [
    'publication',
    'it would send the rows of all tenants',
    'Let the library move tenants.',
  ],
  CreateSubscriptionStmt: [
    'subscription',
    'it would write rows past every policy',
    'Write them through a handle.',
  ],
  CreateRoleStmt: ['role', 'roles belong to the server', 'Check the actor in the application.'],
  AlterRoleStmt: ['role', 'roles belong to the server', 'Leave the role alone.'],
  AlterRoleSetStmt: ['role', 'roles belong to the server', 'Leave the role alone.'],
  DropRoleStmt: ['role', 'roles belong to the server', 'Leave the role alone.'],
  CreatedbStmt: ['database', 'databases are made by the library', 'Leave it out.'],
  AlterDatabaseSetStmt: ['database', 'databases are set up by the library', 'Leave it out.'],
  CreateTableSpaceStmt: ['tablespace', 'tablespaces belong to the server', 'Leave it out.'],
  CreateEventTrigStmt: ['event trigger', 'it would run for the migrations of every place', 'Leave it out.'],
  CreateFdwStmt: [
    'foreign data wrapper',
    'it reads past every policy',
    'Read the other source in the application.',
  ],
  CreateForeignServerStmt: [
    'server',
    'it reads past every policy',
    'Read the other source in the application.',
  ],
  CreateUserMappingStmt: [
    'user mapping',
    'it reads past every policy',
    'Read the other source in the application.',
  ],
  CreatePLangStmt: ['language', 'its code is not bound by policies', 'Write functions in sql or plpgsql.'],
  CreateTransformStmt: ['transform', 'it belongs to another language', 'Write functions in sql or plpgsql.'],
  CreateAmStmt: [
    'access method',
    'its code runs with the rights of the server',
    'Use those that are built in.',
  ],
  SecLabelStmt: ['security label', 'labels are not the same on every server', 'Leave it out.'],
  CreateSchemaStmt: [
    'schema',
    'a place is one schema',
    'Leave schemas out, and tell names apart by a prefix.',
  ],
  AlterSystemStmt: ['setting', 'settings belong to the server', 'Leave it out.'],
}

/** Statements that change rows. */
export const CHANGES: ReadonlySet<string> = new Set(['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

/** Statements, at any depth, whose effect the catalogs do not show afterwards. */
export function refuseStatements(statements: readonly Node[]): LayoutRefusal[] {
  const refusals = new Map<string, LayoutRefusal>()
  for (const statement of statements) {
    visit(statement, (kind, fields) => {
      const refusal = refuse(kind, fields)
      if (refusal) refusals.set(`${refusal.kind} ${refusal.object}`, refusal)
    })
  }
  return [...refusals.values()]
}

function refuse(kind: string, fields: Readonly<Record<string, unknown>>): LayoutRefusal | undefined {
  if (losesTenant(kind, fields)) return { ...WALL, object: namedRelation(fields) }
  if (kind === 'DoStmt' || kind === 'CallStmt') return { ...CODE, object: kind === 'DoStmt' ? 'DO' : 'CALL' }
  const elsewhere = BELONGS_ELSEWHERE[kind]
  if (elsewhere !== undefined) {
    const [what, reason, remedy] = elsewhere
    return { kind: what, object: nameIn(fields), reason, remedy }
  }
  return undefined
}

/** Afterwards nobody could tell the table from one that never had the column, a @shared one. */
function losesTenant(kind: string, fields: Readonly<Record<string, unknown>>): boolean {
  if (kind === 'RenameStmt') return fields.renameType === 'OBJECT_COLUMN' && fields.subname === TENANT_COLUMN
  if (kind !== 'AlterTableStmt' || !Array.isArray(fields.cmds)) return false
  return (fields.cmds as Node[]).some(
    (cmd) =>
      'AlterTableCmd' in cmd &&
      cmd.AlterTableCmd.subtype === 'AT_DropColumn' &&
      cmd.AlterTableCmd.name === TENANT_COLUMN,
  )
}

function namedRelation({ relation }: Readonly<Record<string, unknown>>): string {
  const named = typeof relation === 'object' && relation !== null && 'relname' in relation
  return named ? String(relation.relname) : 'a query'
}

/** The table that a statement puts rows into. */
export function insertedTable(kind: string, fields: Readonly<Record<string, unknown>>): string | undefined {
  const inserts =
    kind === 'InsertStmt' || kind === 'MergeStmt' || (kind === 'CopyStmt' && fields.is_from === true)
  return inserts ? namedRelation(fields) : undefined
}

export function refuseRows(object: string): LayoutRefusal {
  return { ...ROWS, object }
}

/** The parser keeps the name of a thing under another key for each kind of thing. */
function nameIn(fields: Readonly<Record<string, unknown>>): string {
  const { role } = fields
  if (typeof role === 'object' && role !== null && 'rolename' in role) return String(role.rolename)
  const [name = 'unnamed'] = Object.entries(fields).flatMap(([key, value]) =>
    typeof value === 'string' && /(name|^role)$/.test(key) ? [value] : [],
  )
  return name
}

/** Every node of a tree: the parser wraps each as `{ KindOfNode: fields }`. */
export function visit(
  value: unknown,
  see: (kind: string, fields: Readonly<Record<string, unknown>>) => void,
): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, child] of Object.entries(value)) {
    // What a function does, it does when a tenant calls it.
    if (key === 'CreateFunctionStmt') continue
    if (typeof child === 'object' && child !== null && /^[A-Z]/.test(key)) see(key, child)
    visit(child, see)
  }
}

export function finds(statement: Node, wanted: (kind: string) => boolean): boolean {
  let found = false
  visit(statement, (kind) => {
    found ||= wanted(kind)
  })
  return found
}
