import type { Node } from 'libpg-query'
import type { Shape } from '../shape.ts'
import { nameOf } from './node-names.ts'
import type { SourceText } from './source-text.ts'
import { visit } from './statements.ts'

/** The word that makes a table a reference table; introspect.sql looks for the same. */
const SHARED = /(^|\s)@shared($|[\s.,;:!?])/

/** Names that mean a reference table from the first to the last statement of a migration, without a schema. */
export interface SharedNames {
  readonly all: ReadonlySet<string>
  /** The migration makes some of them reference tables. */
  readonly makesSome: boolean
}

export function sharedNames({ statements }: SourceText, shape: Shape): SharedNames {
  const known = shape.tables.filter((table) => table.known && table.shared).map(({ name }) => name)
  const commented = statements.flatMap(commentedTable)
  const moved = new Set<string>()
  for (const statement of statements) visit(statement, (kind, fields) => collectMoved(moved, kind, fields))
  // Behind a name that is given away may be the rows of tenants.
  const all = new Set([...known, ...commented].filter((name) => !moved.has(name)))
  return { all, makesSome: commented.length > 0 }
}

function commentedTable(statement: Node): string[] {
  if (!('CommentStmt' in statement)) return []
  const { objtype, object, comment = '' } = statement.CommentStmt
  return objtype === 'OBJECT_TABLE' && SHARED.test(comment) ? [nameOf(object)] : []
}

function collectMoved(moved: Set<string>, kind: string, fields: Readonly<Record<string, unknown>>): void {
  if (kind === 'RenameStmt' && fields.renameType !== 'OBJECT_COLUMN') {
    moved.add(relationName(fields.relation))
    moved.add(String(fields.newname))
  }
  if (kind === 'ViewStmt') moved.add(relationName(fields.view))
  if (kind === 'DropStmt' && Array.isArray(fields.objects))
    for (const object of fields.objects as Node[]) moved.add(nameOf(object))
}

/** The name in a relation, empty where there is none or where it has a schema. */
export function relationName(relation: unknown): string {
  if (typeof relation !== 'object' || relation === null || !('relname' in relation)) return ''
  return 'schemaname' in relation ? '' : String(relation.relname)
}
