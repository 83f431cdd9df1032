import type { Node } from 'libpg-query'
import { EXTENSION_REMEDY, extensionObjection } from '../reviewed-extensions.ts'
import type { LayoutRefusal } from '../shape.ts'
import { nameOf } from './node-names.ts'
import type { Edit, SourceText } from './source-text.ts'

/** What a migration wants of extensions. They belong to the database, not to one place: the administrator makes them. */
export interface ExtensionPlan {
  readonly wanted: readonly string[]
  /** Takes the statements out of the migration. */
  readonly edits: readonly Edit[]
  readonly refusals: readonly LayoutRefusal[]
}

export function planExtensions({ statements, spans }: SourceText): ExtensionPlan {
  const wanted: string[] = []
  const edits: Edit[] = []
  const refusals: LayoutRefusal[] = []
  statements.forEach((statement, at) => {
    const read = readStatement(statement)
    const span = spans[at]
    if (read === undefined || span === undefined) return
    refusals.push(...read.refusals)
    if (read.wanted !== undefined) wanted.push(read.wanted)
    edits.push({ ...span, text: ' select' })
  })
  return { wanted, edits, refusals }
}

function readStatement(
  statement: Node,
): { readonly wanted?: string; readonly refusals: LayoutRefusal[] } | undefined {
  const refuse = (object: string, reason: string, remedy: string) => ({
    refusals: [{ kind: 'extension', object, reason, remedy }],
  })
  if ('CreateExtensionStmt' in statement) {
    const { extname = '', options = [] } = statement.CreateExtensionStmt
    if (extname === 'plpgsql') return { refusals: [] }
    const objection = extensionObjection(extname)
    if (objection !== null) return refuse(extname, objection, EXTENSION_REMEDY)
    if (options.some((option) => 'DefElem' in option && option.DefElem.defname === 'new_version'))
      return refuse(extname, 'its version is the one that the server has', 'Leave VERSION out.')
    return { wanted: extname, refusals: [] }
  }
  if ('CommentStmt' in statement && statement.CommentStmt.objtype === 'OBJECT_EXTENSION')
    return { refusals: [] }
  const touched = touchedExtension(statement)
  return touched === undefined
    ? undefined
    : refuse(touched, 'other places use it', 'Leave the extension as it is.')
}

function touchedExtension(statement: Node): string | undefined {
  if ('AlterExtensionStmt' in statement) return statement.AlterExtensionStmt.extname ?? ''
  if ('AlterExtensionContentsStmt' in statement) return statement.AlterExtensionContentsStmt.extname ?? ''
  if ('AlterObjectSchemaStmt' in statement) {
    const { objectType, object } = statement.AlterObjectSchemaStmt
    return objectType === 'OBJECT_EXTENSION' ? nameOf(object) : undefined
  }
  if ('DropStmt' in statement && statement.DropStmt.removeType === 'OBJECT_EXTENSION')
    return nameOf(statement.DropStmt.objects?.[0])
  return undefined
}
