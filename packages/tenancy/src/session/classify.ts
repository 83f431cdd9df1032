import { parseSync, SqlError } from 'libpg-query'
import { isKnownFunction } from './known-functions.ts'

/** How a statement takes part in a transaction; decides what is sent around it. */
export type StatementKind = 'statement' | 'begin' | 'end' | 'savepoint' | 'copyOut'

/** What the parser found in one SQL text. */
export interface Classification {
  readonly kind: StatementKind
  /** Why the text must not be sent, or null. */
  readonly refusal: string | null
  /** It calls functions we cannot vouch for: they may take session locks that outlive the transaction. */
  readonly callsUnknownFunctions: boolean
  /** Prepared, it returns the same columns for life; a utility statement may not. */
  readonly fixedColumns: boolean
  /** Read again at another time it means the same: PostgreSQL reads `'today'` once, with the statement. */
  readonly timeless: boolean
  /** What to know before it is sent, where keys or policies may ask for another text; null where they cannot. */
  readonly rewriting: RewritingNeeds | null
}

/** What of a place decides how a statement is rewritten. */
export interface RewritingNeeds {
  /** Names of the tables and views in it, aliases and names of WITH among them. */
  readonly relations: readonly string[]
  /** It names schemas, so that it does not mean the same in every place of the same shape. */
  readonly qualified: boolean
}

const statements = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])
const protectedSettings =
  /^(role|session_authorization|search_path|client_encoding|standard_conforming_strings|seed|quickscale\..*)$/i

type Node = Readonly<Record<string, unknown>>

/**
 * Reads a statement with PostgreSQL's own grammar and decides whether it may run on a tenant's connection. It is an
 * allow-list: what is not named here is refused.
 *
 * @throws RangeError and others when the text was too much for the parser, which must not be used again
 */
export function classifyText(text: string): Classification {
  if (text === '') return refuse('it is empty')
  let parsed: unknown
  try {
    parsed = parseSync(text)
  } catch (error) {
    // A text that this grammar cannot read might mean anything to the server's.
    if (error instanceof SqlError) return refuse(error.message)
    throw error
  }
  const parts = isNode(parsed) && Array.isArray(parsed.stmts) ? parsed.stmts : []
  if (parts.length !== 1) {
    const ends = parts.some(({ stmt }) => onlyEntry(stmt)[0] === 'TransactionStmt')
    const refusal = refuse(`${parts.length} statements in one text; exactly one is allowed`)
    return ends ? { ...refusal, kind: 'end' } : refusal
  }
  const [name, body] = onlyEntry(parts[0].stmt)
  if (statements.has(name)) return classifyTree({ [name]: body })
  // A plan's estimates come from all tenants' values, its counts from all tenants' rows.
  if (name === 'ExplainStmt') return refuse('EXPLAIN would tell about rows of other tenants')
  if (name === 'TransactionStmt') return classifyTransaction(body)
  if (name === 'VariableSetStmt') return classifySetting(body)
  if (name === 'DeclareCursorStmt') return classifyCursor(body)
  if (name === 'CopyStmt') return classifyCopy(body)
  if (['FetchStmt', 'ClosePortalStmt', 'VariableShowStmt', 'ConstraintsSetStmt'].includes(name))
    return allow()
  return refuse(`${commandName(name, body)} is not allowed on a tenant's connection`)
}

function classifyTree(tree: Node): Classification {
  const found = { into: false, unknown: false, rewritable: false, qualified: false, timed: false }
  const relations = new Set<string>()
  const queue: unknown[] = [tree]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (Array.isArray(next)) queue.push(...next)
    if (!isNode(next)) continue
    if ('intoClause' in next) found.into = true
    if ('groupClause' in next || 'infer' in next || isSearch(next)) found.rewritable = true
    if (typeof next.relname === 'string') {
      relations.add(next.relname)
      if ('schemaname' in next) found.qualified = true
    }
    if (isNode(next.A_Const) && isTimed(next.A_Const)) found.timed = true
    if (isNode(next.FuncCall) && !isKnownFunction(functionName(next.FuncCall))) found.unknown = true
    queue.push(...Object.values(next).filter((value) => value !== null))
  }
  if (found.into) return refuse('SELECT INTO creates a table; use a migration')
  const rewriting = found.rewritable ? { relations: [...relations], qualified: found.qualified } : null
  const { unknown, timed } = found
  return { ...allow(), callsUnknownFunctions: unknown, fixedColumns: true, timeless: !timed, rewriting }
}

function classifyTransaction(body: Node): Classification {
  const verb = String(body.kind).replace('TRANS_STMT_', '')
  if (body.chain === true) {
    return { ...refuse('AND CHAIN would keep the context for a second transaction'), kind: 'end' }
  }
  if (verb === 'BEGIN' || verb === 'START') return { ...allow(), kind: 'begin' }
  if (verb === 'COMMIT' || verb === 'ROLLBACK') return { ...allow(), kind: 'end' }
  if (['SAVEPOINT', 'RELEASE', 'ROLLBACK_TO'].includes(verb)) return { ...allow(), kind: 'savepoint' }
  return { ...refuse('two-phase commit keeps a tenant locked; it is not allowed'), kind: 'end' }
}

function classifySetting(body: Node): Classification {
  const name = String(body.name ?? '')
  if (String(body.kind).startsWith('VAR_RESET')) return refuse('RESET is done by the library')
  if (body.is_local !== true) return refuse('SET without LOCAL would reach the next tenant; use SET LOCAL')
  if (body.kind === 'VAR_SET_MULTI') return refuse('give isolation level and access mode with BEGIN')
  if (protectedSettings.test(name)) return refuse(`${name} belongs to the library`)
  return allow()
}

/** CURSOR_OPT_HOLD of parsenodes.h. */
const cursorHold = 0x0020

function classifyCursor(body: Node): Classification {
  if ((Number(body.options ?? 0) & cursorHold) !== 0)
    return refuse('WITH HOLD keeps rows past the transaction')
  return { ...classifyTree(body.query as Node), fixedColumns: false, timeless: false }
}

/** Only its query can be judged: COPY of a table, into a file, to a program or FROM anywhere stays refused. */
function classifyCopy(body: Node): Classification {
  const toClient = body.is_from !== true && body.is_program !== true && body.filename === undefined
  if (!toClient || !isNode(body.query))
    return refuse('COPY takes the form COPY (query) TO STDOUT; use copyTo()')
  const [name, query] = onlyEntry(body.query)
  if (name !== 'SelectStmt') return refuse('COPY takes a SELECT')
  return { ...classifyTree({ [name]: query }), kind: 'copyOut', fixedColumns: false, timeless: false }
}

/** Where the parser's name for a statement is not what its author wrote. */
const commandNames: Readonly<Record<string, string>> = {
  CheckPointStmt: 'CHECKPOINT',
  CreateTableAsStmt: 'CREATE TABLE AS',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
}

function commandName(name: string, body: Node): string {
  if (name === 'VacuumStmt' && body.is_vacuumcmd !== true) return 'ANALYZE'
  return (
    commandNames[name] ??
    name
      .replace(/Stmt$/, '')
      .replace(/(?<=[a-z])(?=[A-Z])/g, ' ')
      .toUpperCase()
  )
}

/** Operators for which rewriting knows what helps an index. */
const searches = new Set<unknown>(['~~', '~~*', '@@', '@>'])

function isSearch({ name }: Node): boolean {
  return Array.isArray(name) && isNode(name[0]) && isNode(name[0].String) && searches.has(name[0].String.sval)
}

/** Whether a constant may be a point in time, whose meaning depends on the day and the time zone. */
function isTimed({ sval }: Node): boolean {
  return isNode(sval) && /\d|now|today|tomorrow|yesterday|allballs/i.test(String(sval.sval ?? ''))
}

function functionName(call: Node): string {
  const parts = Array.isArray(call.funcname) ? call.funcname : []
  return parts.map((part) => (isNode(part) && isNode(part.String) ? String(part.String.sval) : '')).join('.')
}

function onlyEntry(node: unknown): [string, Node] {
  const [entry] = isNode(node) ? Object.entries(node) : []
  return entry === undefined || !isNode(entry[1]) ? [entry?.[0] ?? 'Empty', {}] : [entry[0], entry[1]]
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The classification of what may be sent as it is. */
export function allow(): Classification {
  return {
    kind: 'statement',
    refusal: null,
    callsUnknownFunctions: false,
    fixedColumns: false,
    timeless: false,
    rewriting: null,
  }
}

/** The classification of what must not be sent. */
export function refuse(refusal: string): Classification {
  return { ...allow(), refusal }
}
