import { scanSync } from 'libpg-query'
import { TENANT_COLUMN } from '../shape.ts'

/** What speaks against a body, in the words of a refusal. */
export interface BodyObjection {
  readonly reason: string
  readonly remedy: string
}

interface Token {
  readonly text: string
  readonly start: number
  readonly end: number
}

const TRANSACTION_WORDS = new Set(['commit', 'rollback'])
const SESSION_WORDS = new Set([
  'listen',
  'unlisten',
  'notify',
  'prepare',
  'deallocate',
  'discard',
  'load',
  'reset',
  'do',
])
const DEFINITION_WORDS = new Set([
  'create',
  'alter',
  'drop',
  'truncate',
  'grant',
  'revoke',
  'lock',
  'copy',
  'vacuum',
  'analyze',
  'cluster',
  'refresh',
  'reindex',
  'checkpoint',
  'security',
  'import',
  'comment',
])
const CLOSED_FUNCTIONS =
  /^(pg_(try_)?advisory_.*|lo_.*|loread|lowrite|set_config|setseed|pg_notify|pg_logical_emit_message|pg_(cancel|terminate)_backend|currtid2|nextval|setval|currval|lastval)$/
/** After these a statement begins, in SQL and in plpgsql. */
const BEFORE_STATEMENT = new Set([';', 'begin', 'then', 'else', 'loop', '>>', 'atomic'])

/**
 * What a body does that a tenant may not, found with PostgreSQL's own scanner. SQL made at run time cannot be seen:
 * rights and policies hold for it all the same.
 */
export function findBodyObjections(source: string, schema: string, atomic: boolean): BodyObjection[] {
  const tokens = tokensOf(source)
  if (tokens === undefined) return [{ reason: 'its body cannot be read', remedy: 'Correct the body.' }]
  const objections = tokens.flatMap((token, at) => [
    ...statementObjections(tokens, token, at),
    ...nameObjections(tokens, token, at, atomic ? undefined : schema),
  ])
  if (atomic && conflictLists(tokens).length > 0) {
    objections.push({
      reason: `ON CONFLICT names columns of a key, which will have ${TENANT_COLUMN} in it`,
      remedy: 'Write the body as a string, where it can be completed.',
    })
  }
  return [...new Map(objections.map((objection) => [objection.reason, objection])).values()]
}

/** The body with tenant_id in every list of ON CONFLICT, where inference takes columns in any order; null if it is so. */
export function completeBody(source: string): string | null {
  const lists = conflictLists(tokensOf(source) ?? [])
  if (lists.length === 0) return null
  let bytes = Buffer.from(source)
  for (const at of lists.toReversed())
    bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from(`${TENANT_COLUMN}, `), bytes.subarray(at)])
  return bytes.toString()
}

const READING_WORDS = new Set([
  'from',
  'join',
  'insert',
  'update',
  'delete',
  'merge',
  'execute',
  'perform',
  'call',
  'table',
])
/** FROM inside their parentheses names no table. */
const FROM_IN_CALL = new Set(['extract', 'substring', 'trim', 'overlay', 'position'])

/** Names of the routines that may read tables, by themselves or through each other. */
export function readingRoutines(
  routines: readonly { readonly name: string; readonly source: string; readonly atomic: boolean }[],
): Set<string> {
  const bodies = routines.map(({ name, source, atomic }) => ({ name, atomic, tokens: tokensOf(source) }))
  const reading = new Set(
    bodies
      .filter(({ atomic, tokens }) => atomic || tokens === undefined || readsTables(tokens))
      .map(({ name }) => name),
  )
  for (let before = -1; before !== reading.size; ) {
    before = reading.size
    for (const { name, tokens = [] } of bodies)
      if (tokens.some(({ text }, at) => tokens[at + 1]?.text === '(' && reading.has(identifierOf(text))))
        reading.add(name)
  }
  return reading
}

function readsTables(tokens: readonly Token[]): boolean {
  const callers: string[] = []
  return tokens.some(({ text }, at) => {
    const word = text.toLowerCase()
    const before = tokens[at - 1]?.text.toLowerCase() ?? ''
    if (word === '(') callers.push(before)
    if (word === ')') callers.pop()
    const plain = word === 'from' && (before === 'distinct' || FROM_IN_CALL.has(callers.at(-1) ?? ''))
    return READING_WORDS.has(word) && !plain
  })
}

function statementObjections(tokens: readonly Token[], { text }: Token, at: number): BodyObjection[] {
  const word = text.toLowerCase()
  const begins = at === 0 || BEFORE_STATEMENT.has(tokens[at - 1]?.text.toLowerCase() ?? '')
  const next = tokens[at + 1]?.text.toLowerCase()
  if (!begins || next === ':=' || next === '=' || next === '.') return []
  if (TRANSACTION_WORDS.has(word))
    return [
      {
        reason: `${word.toUpperCase()} would end the transaction, and the tenant's context with it`,
        remedy: 'Leave the transaction to the caller.',
      },
    ]
  if (SESSION_WORDS.has(word) || (word === 'set' && next !== 'local' && next !== 'constraints'))
    return [
      {
        reason: `${word.toUpperCase()} would reach the next tenant on the connection`,
        remedy: 'Use SET LOCAL, or do it in the application.',
      },
    ]
  if (DEFINITION_WORDS.has(word))
    return [
      {
        reason: `${word.toUpperCase()} is not a tenant's to do`,
        remedy: 'Define objects in migrations, and let functions change rows only.',
      },
    ]
  return []
}

function nameObjections(
  tokens: readonly Token[],
  { text }: Token,
  at: number,
  schema: string | undefined,
): BodyObjection[] {
  const name = identifierOf(text)
  const next = tokens[at + 1]?.text
  if (next === '(' && CLOSED_FUNCTIONS.test(name)) {
    return [
      {
        reason: `tenants have no right to call ${name}()`,
        remedy: 'Do it in the application, or without it.',
      },
    ]
  }
  if (name === schema && next === '.' && tokens[at - 1]?.text !== '.') {
    return [
      {
        reason: `it names the schema ${name}, which is another one in other places`,
        remedy: 'Leave schema names out; an alias of a table may not be called like the schema.',
      },
    ]
  }
  return []
}

/** Where the lists of ON CONFLICT (…) begin that do not name tenant_id. */
function conflictLists(tokens: readonly Token[]): number[] {
  return tokens.flatMap((token, at) => {
    const [on, conflict] = tokens.slice(at - 2, at).map(({ text }) => text.toLowerCase())
    if (token.text !== '(' || on !== 'on' || conflict !== 'conflict') return []
    const list = tokens.slice(at + 1, closing(tokens, at))
    return list.some(({ text }) => identifierOf(text) === TENANT_COLUMN) ? [] : [token.end]
  })
}

function closing(tokens: readonly Token[], opening: number): number {
  let depth = 0
  for (let at = opening; at < tokens.length; at += 1) {
    if (tokens[at]?.text === '(') depth += 1
    if (tokens[at]?.text === ')') depth -= 1
    if (depth === 0) return at
  }
  return tokens.length
}

function identifierOf(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase()
}

/** Undefined when PostgreSQL cannot take the text apart. */
function tokensOf(source: string): readonly Token[] | undefined {
  if (source.trim() === '') return []
  try {
    return scanSync(source).tokens.filter(({ tokenName }) => !tokenName.endsWith('_COMMENT'))
  } catch {
    return undefined
  }
}
