import { loadModule, parseSync } from 'libpg-query'
import { limits } from '../limits.ts'
import { Conditions } from './conditions.ts'
import { type Encoding, findEncoding, utf8 } from './encoding.ts'
import { Lexer, type Variable } from './lexer.ts'
import { LineReader } from './line-reader.ts'
import { type MetaCommand, readMetaCommand } from './meta-command.ts'
import { unusable } from './unusable.ts'

/** A statement of SQL; comments may precede it. */
export interface StatementText {
  readonly text: string
  /** Where its first word is. */
  readonly line: number
  /** Where `text` begins. */
  readonly textLine: number
}

/** What a script asks for, in its order. */
export type ScriptItem =
  | (StatementText & { readonly kind: 'statement'; readonly words: readonly string[] })
  | (StatementText & {
      readonly kind: 'copy'
      /** The rows in UTF-8, in blocks of whole lines. To be read before the next item is asked for. */
      readonly data: AsyncIterable<Buffer>
    })
  /** `\connect`; null keeps the database. */
  | { readonly kind: 'connect'; readonly database: string | null; readonly line: number }
  /** A command of psql without a meaning here. */
  | { readonly kind: 'ignored'; readonly what: string; readonly line: number }

/** Commands that print, or change how psql prints. */
const harmless = new Set(
  'restrict unrestrict echo qecho warn pset timing t x a f h html cd o out p r reset errverbose conninfo password'.split(
    ' ',
  ),
)
/** What a dump without its surroundings cannot be read by. */
const refused: Readonly<Record<string, string>> = {
  i: 'reads another file',
  include: 'reads another file',
  ir: 'reads another file',
  include_relative: 'reads another file',
  copy: 'reads or writes another file; use COPY … FROM stdin',
  '!': 'runs a program',
  gexec: 'runs statements that only a query knows',
  gset: 'sets variables that only a query knows',
  prompt: 'asks somebody',
  getenv: 'reads the environment',
  lo_import: 'reads another file',
  ef: 'opens an editor',
  e: 'opens an editor',
  edit: 'opens an editor',
}

/** A psql script (pg_dump's plain format is one), read as psql reads it, never held in memory as a whole. */
export class Script {
  readonly #lines: LineReader
  readonly #lexer = new Lexer()
  readonly #conditions = new Conditions()
  readonly #variables = new Map<string, string>()
  #encoding: Encoding = utf8
  #parts: string[] = []
  #size = 0
  #startLine = 0
  #textLine = 0
  /** After \q. */
  #ended = false

  constructor(path: string) {
    this.#lines = new LineReader(path)
  }

  /** Bytes read so far. */
  get bytes(): number {
    return this.#lines.bytes
  }

  /** From the next line on, as `SET client_encoding` and `\encoding` ask for. */
  setEncoding(name: string, line: number): void {
    const encoding = findEncoding(name)
    if (!encoding) throw unusable(line, `the encoding ${name} is not known`)
    this.#encoding = encoding
  }

  /** From the next line on, as `SET standard_conforming_strings` asks for. */
  setStandardStrings(standard: boolean): void {
    this.#lexer.standardStrings = standard
  }

  close(): Promise<void> {
    return this.#lines.close()
  }

  /** @throws QuickScaleError `SCRIPT_UNUSABLE` */
  async *items(): AsyncGenerator<ScriptItem> {
    await loadModule()
    while (!this.#ended) {
      const bytes = await this.#lines.next()
      if (bytes === null) break
      yield* this.#readLine(this.#decode(bytes))
    }
    const { unfinished } = this.#conditions
    if (unfinished !== undefined) throw unusable(unfinished, '\\if without \\endif')
    const open = this.#lexer.unfinished
    if (open !== null) throw unusable(this.#startLine, `${open} is not closed before the script ends`)
    // psql sends what is left without a semicolon.
    if (!this.#lexer.empty) yield* this.#finish()
  }

  async *#readLine(text: string): AsyncGenerator<ScriptItem> {
    let line = text
    let from = 0
    let at = 0
    for (let substitutions = 0; ; ) {
      const wasEmpty = this.#lexer.empty
      const stop = this.#lexer.scan(line, at, (name) => this.#variables.has(name))
      if (wasEmpty && !this.#lexer.empty) this.#startLine = this.#lines.line
      if (stop.kind === 'variable') {
        substitutions += 1
        if (substitutions > limits.variableSubstitutionsPerLineMax)
          throw unusable(this.#lines.line, 'a variable contains itself')
        line = line.slice(0, stop.at) + this.#valueOf(stop) + line.slice(stop.end)
        at = stop.at
      } else if (stop.kind === 'end of line') {
        this.#keep(`${line.slice(from)}\n`)
        return
      } else if (stop.kind === 'end of statement') {
        this.#keep(line.slice(from, stop.at - 1))
        from = stop.at
        at = stop.at
        yield* this.#finish()
      } else {
        const command = readMetaCommand(line, stop.at, (name) => this.#variables.get(name))
        this.#keep(line.slice(from, stop.at - 1))
        from = command.end
        at = command.end
        yield* this.#obey(command)
      }
    }
  }

  #keep(part: string): void {
    if (!this.#conditions.active) return
    this.#size += part.length
    if (this.#size > limits.statementBytesMax)
      throw unusable(this.#startLine, `a statement of more than ${limits.statementBytesMax} characters`)
    if (this.#parts.length === 0) this.#textLine = this.#lines.line
    this.#parts.push(part)
  }

  /** The statement that has just ended, if there is one. */
  async *#finish(): AsyncGenerator<ScriptItem> {
    const text = this.#parts.join('')
    const words = [...this.#lexer.words]
    const { empty } = this.#lexer
    const line = this.#startLine
    const textLine = this.#textLine
    this.#parts = []
    this.#size = 0
    this.#lexer.reset()
    if (empty || !this.#conditions.active) return
    if (words[0] === 'copy' && isCopyFromStandardInput(text)) {
      yield { kind: 'copy', text, line, textLine, data: this.#readRows() }
    } else {
      yield { kind: 'statement', text, line, textLine, words }
    }
  }

  async *#obey(command: MetaCommand): AsyncGenerator<ScriptItem> {
    const { name, words } = command
    const { line } = this.#lines
    if (this.#conditions.apply(name, words, line) || !this.#conditions.active) return
    if (name === ';') return
    if (name === 'g' && words.length === 0) return yield* this.#finish()
    const reason = refused[name]
    if (reason !== undefined) throw unusable(line, `\\${name} ${reason}`)
    if (name === 'set') {
      const [variable, ...values] = words
      if (variable !== undefined) this.#variables.set(variable, values.join(''))
    } else if (name === 'unset') {
      this.#variables.delete(words[0] ?? '')
    } else if (name === 'encoding') {
      if (words[0] !== undefined) this.setEncoding(words[0], line)
    } else if (name === 'connect' || name === 'c') {
      yield { kind: 'connect', database: databaseOf(words, line), line }
    } else if (name === 'q' || name === 'quit') {
      this.#parts = []
      this.#lexer.reset()
      this.#ended = true
    } else if (!harmless.has(name)) {
      yield { kind: 'ignored', what: `unknown command \\${name}`, line }
    }
  }

  async *#readRows(): AsyncGenerator<Buffer> {
    const first = this.#lines.line
    let block: Buffer[] = []
    let size = 0
    for (;;) {
      const line = await this.#lines.next()
      if (line === null) throw unusable(first, 'the rows after COPY do not end with \\.')
      const ended = isEndOfRows(line)
      if (!ended) {
        block.push(line, NEWLINE)
        size += line.length + 1
      }
      if (block.length > 0 && (ended || size >= limits.copyBlockBytes)) {
        yield this.#transcode(block, ended ? this.#lines.line - 1 : this.#lines.line)
        block = []
        size = 0
      }
      if (ended) return
    }
  }

  /** @param lastLine number of the block's last row */
  #transcode(block: readonly Buffer[], lastLine: number): Buffer {
    const rows = this.#encoding.transcode(Buffer.concat(block))
    if (rows !== null) return rows
    const lines = block.filter((part) => part !== NEWLINE)
    const wrong = lines.findIndex((part) => this.#encoding.transcode(part) === null)
    throw this.#invalid(lastLine - lines.length + 1 + Math.max(0, wrong))
  }

  #decode(bytes: Buffer): string {
    const text = this.#encoding.decode(bytes)
    if (text === null) throw this.#invalid(this.#lines.line)
    return text
  }

  #invalid(line: number): Error {
    const { name } = this.#encoding
    return unusable(
      line,
      `bytes that are not valid ${name}; what is in another encoding begins with SET client_encoding = '…';`,
    )
  }

  #valueOf({ name, form }: Variable): string {
    const value = this.#variables.get(name)
    if (form === 'test') return value === undefined ? 'FALSE' : 'TRUE'
    if (form === 'literal') return `'${(value ?? '').replaceAll("'", "''")}'`
    if (form === 'identifier') return `"${(value ?? '').replaceAll('"', '""')}"`
    return value ?? ''
  }
}

const NEWLINE = Buffer.from('\n')

function isEndOfRows(line: Buffer): boolean {
  if (line[0] !== 0x5c || line[1] !== 0x2e) return false
  return line.length === 2 || (line.length === 3 && line[2] === 0x0d)
}

/** What the parser does not take is left to the server, whose message is the better one. */
function isCopyFromStandardInput(text: string): boolean {
  try {
    const statement = parseSync(text).stmts?.[0]?.stmt
    if (statement === undefined || !('CopyStmt' in statement)) return false
    const { is_from, filename, is_program } = statement.CopyStmt
    return is_from === true && filename === undefined && is_program !== true
  } catch {
    return false
  }
}

function databaseOf(words: readonly string[], line: number): string | null {
  const name = words.find((word) => !word.startsWith('-reuse-previous='))
  if (name === undefined || name === '-') return null
  if (name.startsWith('postgres://') || name.startsWith('postgresql://')) {
    return decodeURIComponent(URL.parse(name)?.pathname.slice(1) ?? '') || null
  }
  if (!name.includes('=')) return name
  const setting = name.split(' ').find((part) => part.startsWith('dbname='))
  if (setting === undefined) throw unusable(line, `\\connect ${name} names no database`)
  return setting.slice('dbname='.length).replaceAll("'", '')
}
