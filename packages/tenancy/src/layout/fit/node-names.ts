import type { Node } from 'libpg-query'

/** The name at the end of a list like `schema, name`, as the parser gives it; empty where there is none. */
export function lastName(parts: readonly Node[] = []): string {
  const last = parts.at(-1)
  return last && 'String' in last ? (last.String.sval ?? '') : ''
}

/** The name of an object, which is written by itself or as such a list. */
export function nameOf(node: Node | undefined): string {
  if (node === undefined) return ''
  return lastName('List' in node ? node.List.items : [node])
}
