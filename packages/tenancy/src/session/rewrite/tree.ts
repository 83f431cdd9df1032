import type {
  BoolExpr,
  DeleteStmt,
  InsertStmt,
  MergeStmt,
  Node,
  SelectStmt,
  UpdateStmt,
  WithClause,
} from 'libpg-query'

/** A query, or a part of one that has its own FROM. */
export type Query = { readonly hidden: ReadonlySet<string> } & (
  | { readonly kind: 'SelectStmt'; readonly body: SelectStmt }
  | { readonly kind: 'InsertStmt'; readonly body: InsertStmt }
  | { readonly kind: 'UpdateStmt'; readonly body: UpdateStmt }
  | { readonly kind: 'DeleteStmt'; readonly body: DeleteStmt }
  | { readonly kind: 'MergeStmt'; readonly body: MergeStmt }
)

const kinds: Readonly<Record<string, Query['kind']>> = {
  SelectStmt: 'SelectStmt',
  InsertStmt: 'InsertStmt',
  UpdateStmt: 'UpdateStmt',
  DeleteStmt: 'DeleteStmt',
  MergeStmt: 'MergeStmt',
  // The arms of UNION and its like stand there without the name of their kind.
  larg: 'SelectStmt',
  rarg: 'SelectStmt',
}

/**
 * Every query of a statement, nested ones too, each with the names that a WITH around it takes from tables.
 * Without recursion: what the parser could read may be nested more deeply than this stack allows.
 */
export function queriesOf(statement: unknown): Query[] {
  const found: Query[] = []
  const waiting: { value: unknown; hidden: ReadonlySet<string> }[] = [{ value: statement, hidden: new Set() }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { hidden } = next
    for (const [key, value] of entriesOf(next.value)) {
      const kind = kinds[key]
      // Joins have fields of these names too.
      if (kind === undefined || !isObject(value) || (key.endsWith('arg') && !('op' in value))) {
        waiting.push({ value, hidden })
        continue
      }
      const { withClause, ...rest } = value as { withClause?: WithClause }
      const { inner, queries } = readWith(withClause, hidden)
      waiting.push(...queries, { value: rest, hidden: inner })
      found.push({ kind, body: value, hidden: inner } as Query)
    }
  }
  return found
}

function readWith(clause: WithClause | undefined, outer: ReadonlySet<string>) {
  const inner = new Set(outer)
  const queries: { value: unknown; hidden: ReadonlySet<string> }[] = []
  for (const node of clause?.ctes ?? []) {
    if (!('CommonTableExpr' in node)) continue
    const { ctename = '', ctequery } = node.CommonTableExpr
    // Without RECURSIVE a name is known to the queries after its own only.
    queries.push({ value: ctequery, hidden: clause?.recursive === true ? inner : new Set(inner) })
    inner.add(ctename)
  }
  return { inner, queries }
}

/**
 * The column references in a part of a statement, those in nested queries too.
 *
 * @param skip what to look at in place of everything in a node, or null
 */
export function columnsIn(
  part: unknown,
  skip: (node: Node, nested: boolean) => readonly unknown[] | null,
): Node[] {
  const found: Node[] = []
  const waiting: { value: unknown; nested: boolean }[] = [{ value: part, nested: false }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { value, nested } = next
    if (!isObject(value)) continue
    if ('ColumnRef' in value) found.push(value as Node)
    const instead = skip(value as Node, nested)
    const inside = nested || 'SelectStmt' in value
    const children = instead ?? Object.values(value)
    waiting.push(...children.map((child) => ({ value: child, nested: inside })))
  }
  return found
}

/** How often each parameter is used. */
export function parametersIn(statement: unknown): ReadonlyMap<number, number> {
  const uses = new Map<number, number>()
  const waiting = [statement]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const [key, value] of entriesOf(next)) {
      if (!isObject(value)) continue
      waiting.push(value)
      const { number } = value as { number?: number }
      if (key === 'ParamRef' && number !== undefined) uses.set(number, (uses.get(number) ?? 0) + 1)
    }
  }
  return uses
}

/** The conditions that all must hold, whatever parentheses are around them. */
export function conjunctsOf(condition: Node | undefined): Node[] {
  const found: Node[] = []
  const waiting = condition === undefined ? [] : [condition]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (isConjunction(next)) waiting.push(...(next.BoolExpr.args ?? []).toReversed())
    else found.push(next)
  }
  return found
}

/** An AND within an AND is the same as a longer one. */
export function flattened(node: unknown): unknown {
  return isObject(node) && isConjunction(node)
    ? { BoolExpr: { boolop: 'AND_EXPR', args: conjunctsOf(node as Node) } }
    : node
}

function isConjunction(node: object): node is { BoolExpr: BoolExpr } {
  return 'BoolExpr' in node && (node.BoolExpr as BoolExpr).boolop === 'AND_EXPR'
}

/** Where the part begins or shortly after, in bytes: the least of all positions in it. */
export function firstLocation(part: unknown): number {
  let first = Number.POSITIVE_INFINITY
  const waiting = [part]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const [key, value] of entriesOf(next)) {
      if (key === 'location' && typeof value === 'number' && value >= 0) first = Math.min(first, value)
      else if (isObject(value)) waiting.push(value)
    }
  }
  return first
}

/** @returns undefined when it is no plain name, as `c.*` */
export function namesOf(nodes: readonly Node[] | undefined): string[] | undefined {
  const names = (nodes ?? []).map((node) => ('String' in node ? (node.String.sval ?? '') : undefined))
  return names.every((name) => name !== undefined) ? names : undefined
}

export function nameNode(name: string): Node {
  return { String: { sval: name } }
}

function entriesOf(value: unknown): [string, unknown][] {
  return isObject(value) ? Object.entries(value) : []
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
