import { pipeline } from 'node:stream/promises'
import { parseSync } from 'libpg-query'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { limits } from '../limits.ts'
import type { Refusal } from '../report.ts'
import { Script, type ScriptItem, type StatementText } from '../script/script.ts'
import { unusable } from '../script/unusable.ts'
import { type Decision, decide } from './decide.ts'

/** What was not loaded, and why that is no error. */
export interface LoadReport {
  /** How often each kind of statement was passed over. */
  readonly ignored: Readonly<Record<string, number>>
  readonly refused: readonly Refusal[]
}

type Statement = Extract<ScriptItem, { kind: 'statement' }>
type Copy = Extract<ScriptItem, { kind: 'copy' }>

/**
 * Runs a script on an empty database, as it is, but for roles, rights and owners.
 *
 * @param client a superuser's connection
 * @param onProgress is told how many bytes have been read
 * @throws QuickScaleError `SCRIPT_UNUSABLE` with the line of the first statement that failed
 */
export async function loadScript(
  client: pg.Client,
  path: string,
  onProgress: (bytes: number) => void,
): Promise<LoadReport> {
  const script = new Script(path)
  const loader = new Loader(client, script)
  try {
    for await (const item of script.items()) {
      await loader.take(item)
      onProgress(script.bytes)
    }
    return await loader.finish()
  } finally {
    await script.close()
  }
}

class Loader {
  readonly #client: pg.Client
  readonly #script: Script
  readonly #ignored = new Map<string, number>()
  readonly #refused: Refusal[] = []
  #inserts: Statement[] = []
  #insertBytes = 0
  #database: string | null = null
  /** Whether the current database of the script has got anything yet. */
  #filled = false
  #transactionLine = 0

  constructor(client: pg.Client, script: Script) {
    this.#client = client
    this.#script = script
  }

  async take(item: ScriptItem): Promise<void> {
    if (item.kind === 'statement' && item.words[0] === 'insert') return await this.#insert(item)
    await this.#flush()
    switch (item.kind) {
      case 'statement':
        return await this.#statement(item)
      case 'copy':
        this.#filled = true
        return await this.#copy(item)
      case 'connect':
        return await this.#connect(item.database, item.line)
      case 'ignored':
        return this.#ignore(item.what)
    }
  }

  async finish(): Promise<LoadReport> {
    await this.#flush()
    if (this.#transactionLine > 0)
      throw unusable(this.#transactionLine, 'the transaction that begins here is never committed')
    return { ignored: Object.fromEntries(this.#ignored), refused: this.#refused }
  }

  #ignore(what: string): void {
    this.#ignored.set(what, (this.#ignored.get(what) ?? 0) + 1)
  }

  /** A new session of psql; the settings of the old one are gone. */
  async #connect(database: string | null, line: number): Promise<void> {
    if (database !== null && database !== this.#database) {
      if (this.#filled) {
        throw unusable(line, `the script fills a second database, ${database}; check them one at a time`)
      }
      this.#database = database
    }
    await this.#client.query('reset all')
  }

  async #statement(statement: Statement): Promise<void> {
    const decision = this.#decide(statement)
    switch (decision.kind) {
      case 'ignore':
        return this.#ignore(decision.what)
      case 'leave out':
        this.#refused.push(decision.refusal)
        return
      case 'encoding':
        return this.#script.setEncoding(decision.name, statement.line)
      case 'unusable':
        throw unusable(statement.line, decision.reason)
      case 'standard strings':
        this.#script.setStandardStrings(decision.on)
        return await this.#run(statement, statement.text, [])
      case 'rewrite':
        return await this.#run(statement, decision.text, decision.tolerated)
      case 'run':
        return await this.#run(statement, statement.text, decision.tolerated)
    }
  }

  #decide({ text }: Statement): Decision {
    if (text.length > limits.parsedStatementCharactersMax) return { kind: 'run', tolerated: [] }
    try {
      const parsed = parseSync(text).stmts?.[0]?.stmt
      if (parsed !== undefined) return decide(parsed, pg.escapeIdentifier)
    } catch (error) {
      // The server says it better, and may know what this version of the grammar does not.
      if (!(error instanceof Error)) throw error
    }
    return { kind: 'run', tolerated: [] }
  }

  async #run(statement: Statement, text: string, tolerated: readonly string[]): Promise<void> {
    const guarded = tolerated.length > 0 && this.#transactionLine > 0
    if (guarded) await this.#client.query('savepoint quickscale_check')
    try {
      await this.#client.query(text)
    } catch (error) {
      const code = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
      if (guarded) await this.#client.query('rollback to savepoint quickscale_check')
      if (tolerated.includes(code))
        return this.#ignore(`${(statement.words[0] ?? '').toUpperCase()} that failed`)
      if (this.#leftOut(statement, error)) return
      throw failed(statement, error, this.#missingExtensions())
    }
    if (guarded) await this.#client.query('release savepoint quickscale_check')
    this.#follow(statement)
  }

  /** An extension that this server has not is only a problem where something uses it. */
  #leftOut({ words, text }: Statement, error: unknown): boolean {
    if (words[0] !== 'create' || words[1] !== 'extension' || this.#transactionLine > 0) return false
    const unavailable = error instanceof pg.DatabaseError && ['0A000', '58P01'].includes(error.code ?? '')
    if (!unavailable) return false
    const statement = parseSync(text).stmts?.[0]?.stmt
    const name =
      statement && 'CreateExtensionStmt' in statement ? statement.CreateExtensionStmt.extname : undefined
    this.#refused.push({
      kind: 'extension',
      object: name ?? '',
      reason: 'it is not available on the server of this check',
      remedy: 'Name a server that has it with --server, or leave the extension out.',
    })
    return true
  }

  /** For the message: what fails may have wanted one of them. */
  #missingExtensions(): string {
    const names = this.#refused.filter(({ kind }) => kind === 'extension').map(({ object }) => object)
    return names.length === 0
      ? ''
      : `; this server has no extension ${names.join(', ')}: name one with --server`
  }

  #follow({ words, line }: Statement): void {
    const [first = '', second] = words
    if (first === 'begin' || (first === 'start' && second === 'transaction')) this.#transactionLine = line
    else if (first === 'commit' || first === 'end') this.#transactionLine = 0
    else if ((first === 'rollback' || first === 'abort') && second !== 'to') {
      if (!words.includes('to')) this.#transactionLine = 0
    } else if (first !== 'set' && first !== 'select') this.#filled = true
  }

  async #insert(statement: Statement): Promise<void> {
    this.#filled = true
    this.#inserts.push(statement)
    this.#insertBytes += statement.text.length
    const full =
      this.#insertBytes >= limits.insertBatchBytes || this.#inserts.length >= limits.insertBatchStatements
    if (full) await this.#flush()
  }

  /** In one message, which is one transaction; when it fails, one by one, to know which. */
  async #flush(): Promise<void> {
    const statements = this.#inserts
    this.#inserts = []
    this.#insertBytes = 0
    const [only] = statements
    if (only === undefined) return
    if (statements.length === 1) return await this.#run(only, only.text, [])
    const guarded = this.#transactionLine > 0
    if (guarded) await this.#client.query('savepoint quickscale_check')
    try {
      await this.#client.query(statements.map(({ text }) => text).join('\n;\n'))
      if (guarded) await this.#client.query('release savepoint quickscale_check')
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) throw error
      if (guarded) await this.#client.query('rollback to savepoint quickscale_check')
      for (const statement of statements) await this.#run(statement, statement.text, [])
    }
  }

  async #copy(copy: Copy): Promise<void> {
    try {
      await pipeline(copy.data, this.#client.query(copyFrom(copy.text)))
    } catch (error) {
      throw failed(copy, error)
    }
  }
}

/** PostgreSQL counts characters from the beginning of the text, and rows from the first of a COPY. */
function failed({ text, line, textLine }: StatementText, error: unknown, hint = ''): Error {
  if (!(error instanceof pg.DatabaseError)) return error instanceof Error ? error : new Error(String(error))
  const row = /^COPY .*, line (\d+)/.exec(error.where ?? '')?.[1]
  let at = line
  if (row !== undefined) at = textLine + newlines(text) + Number(row)
  else if (error.position !== undefined) at = textLine + newlines(text.slice(0, Number(error.position) - 1))
  return unusable(at, `${error.message} (SQLSTATE ${error.code})${hint}`, { cause: error })
}

function newlines(text: string): number {
  let count = 0
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count += 1
  return count
}
