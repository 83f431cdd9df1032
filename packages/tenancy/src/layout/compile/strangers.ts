import { EXTENSION_REMEDY, EXTENSIONS_SCHEMA, extensionObjection } from '../reviewed-extensions.ts'
import type { LayoutRefusal, Shape } from '../shape.ts'

const REMEDIES: Readonly<Record<string, string>> = {
  cast: 'Call a function where the value is to be converted.',
  operator: 'Call its function.',
  rule: 'Use a view that can be updated by itself, or write to the table.',
  policy: 'Leave the policy out; check the actor in the application.',
  extension: 'Leave the schema out: extensions are made where all places find them.',
  'materialized view': 'Use a view, or a table the application fills for each tenant.',
  'foreign table': 'Read the other source in the application.',
}

/** Refuses whatever the layout does not know; an object passed over could carry rows past every wall. */
export function refuseStrangers(shape: Shape): LayoutRefusal[] {
  const refused = new Map<string, LayoutRefusal>()
  for (const { kind, object, where } of shape.strangers) {
    const reason = {
      schema: 'this kind of object is not supported yet',
      attached: 'it depends on a table or view of the schema in a way the layout does not know',
      elsewhere: `it lies outside the schema ${shape.schema.name}`,
    }[where]
    refused.set(`${kind} ${object}`, {
      kind,
      object,
      reason: reason ?? 'the layout does not know it',
      remedy:
        REMEDIES[kind] ??
        'Leave it out: tables, keys, checks, defaults, btree indexes and views are supported.',
    })
  }
  return [...refused.values()]
}

/** Refuses use of what another place need not have. */
export function refuseOutsiders(shape: Shape): LayoutRefusal[] {
  return shape.outsiders.flatMap(({ kind, object, uses, schema, extension }) => {
    if (extension === null) {
      const reason = `it uses ${uses}, which is neither built in nor in the schema`
      return [
        {
          kind,
          object,
          reason,
          remedy: 'Use built-in types and functions, and tables of the same migrations.',
        },
      ]
    }
    const objection = extensionObjection(extension)
    if (objection !== null)
      return [
        {
          kind,
          object,
          reason: `it uses ${uses} of extension ${extension}: ${objection}`,
          remedy: EXTENSION_REMEDY,
        },
      ]
    if (schema === EXTENSIONS_SCHEMA) return []
    const reason = `it uses ${uses} of extension ${extension}, which lies in another schema than ${EXTENSIONS_SCHEMA}`
    return [{ kind, object, reason, remedy: 'Write CREATE EXTENSION into the migration.' }]
  })
}
