/**
 * Splits SQL as psql does, which is all that is decided here: where a statement ends, where a meta command or a
 * variable stands. It must agree with psqlscan.l, not with the server's grammar: a script may hold what no parser
 * takes as a whole (COPY data, commands of psql), and more than fits into memory.
 */
type Mode = 'plain' | 'standard' | 'escape' | 'double' | 'dollar' | 'comment'

/** Why scan() stopped; `at` is where scanning goes on, but for a variable, where the text is to be replaced. */
export type Stop =
  | { readonly kind: 'end of line' }
  | { readonly kind: 'end of statement'; readonly at: number }
  | { readonly kind: 'command'; readonly at: number }
  | Variable

export interface Variable {
  readonly kind: 'variable'
  readonly at: number
  readonly end: number
  readonly name: string
  readonly form: 'plain' | 'literal' | 'identifier' | 'test'
}

const BACKSLASH = 0x5c
const QUOTE = 0x27
const DOUBLE = 0x22
const DOLLAR = 0x24
const DASH = 0x2d
const SLASH = 0x2f
const STAR = 0x2a
const COLON = 0x3a
const SEMICOLON = 0x3b
const OPEN = 0x28
const CLOSE = 0x29

/** The words a statement begins with, as many as tell a function with an SQL body. */
const WORDS_KEPT = 4

export class Lexer {
  /** standard_conforming_strings: whether a backslash in '…' is an ordinary character. */
  standardStrings = true
  readonly words: string[] = []
  #mode: Mode = 'plain'
  #tag = ''
  #comments = 0
  #parentheses = 0
  /** Open BEGIN ATOMIC and CASE of a function with an SQL body. */
  #blocks = 0
  /** A string goes on when only white space with a newline is between its parts. */
  #continued: Mode | null = null
  #empty = true

  /** Whether nothing but white space and comments has been seen of the statement. */
  get empty(): boolean {
    return this.#empty
  }

  /** Whether a quote, a comment or a parenthesis is open. */
  get unfinished(): string | null {
    if (this.#mode === 'comment') return 'a comment'
    if (this.#mode !== 'plain') return 'a quoted string'
    return this.#parentheses > 0 ? 'a parenthesis' : null
  }

  reset(): void {
    this.words.length = 0
    this.#mode = 'plain'
    this.#parentheses = 0
    this.#blocks = 0
    this.#continued = null
    this.#empty = true
  }

  /** @param isVariable whether psql knows a variable of this name; others are left as they are */
  scan(line: string, from: number, isVariable: (name: string) => boolean): Stop {
    let at = from
    while (at < line.length) {
      if (this.#mode !== 'plain') {
        at = this.#leave(line, at)
        continue
      }
      const code = line.charCodeAt(at)
      if (code === 0x20 || (code >= 0x09 && code <= 0x0d)) {
        at += 1
      } else if (code === DASH && line.charCodeAt(at + 1) === DASH) {
        return { kind: 'end of line' }
      } else if (code === SLASH && line.charCodeAt(at + 1) === STAR) {
        this.#mode = 'comment'
        this.#comments = 1
        at += 2
      } else if (code === BACKSLASH) {
        return { kind: 'command', at: at + 1 }
      } else if (code === SEMICOLON && this.#parentheses === 0 && this.#blocks === 0) {
        return { kind: 'end of statement', at: at + 1 }
      } else if (code === COLON) {
        const found = findVariable(line, at, isVariable)
        if (found) return found
        this.#empty = false
        at += line.charCodeAt(at + 1) === COLON ? 2 : 1
      } else {
        at = this.#token(line, at, code)
      }
    }
    return { kind: 'end of line' }
  }

  /** One token of plain SQL; returns where it ends. */
  #token(line: string, at: number, code: number): number {
    this.#empty = false
    const continued = this.#continued
    this.#continued = null
    if (code === QUOTE) {
      this.#mode = continued ?? (this.standardStrings ? 'standard' : 'escape')
    } else if (code === DOUBLE) {
      this.#mode = 'double'
    } else if (code === DOLLAR) {
      return this.#dollar(line, at)
    } else if (code === OPEN) {
      this.#parentheses += 1
    } else if (code === CLOSE) {
      this.#parentheses = Math.max(0, this.#parentheses - 1)
    } else if (isNameStart(code)) {
      return this.#word(line, at)
    } else if (isDigit(code)) {
      return skip(line, at, isNamePart)
    }
    return at + 1
  }

  #word(line: string, at: number): number {
    const end = skip(line, at, isNamePart)
    if (end - at === 1 && line.charCodeAt(end) === QUOTE && 'eE'.includes(line.charAt(at))) {
      this.#mode = 'escape'
      return end + 1
    }
    // Only short words matter, and none of them needs more than ASCII.
    const word = end - at > 16 ? '' : line.slice(at, end).toLowerCase()
    if (this.words.length < WORDS_KEPT) this.words.push(word)
    if (this.#parentheses === 0 && this.#definesRoutine()) {
      if (word === 'begin' || (word === 'case' && this.#blocks > 0)) this.#blocks += 1
      else if (word === 'end' && this.#blocks > 0) this.#blocks -= 1
    }
    return end
  }

  #definesRoutine(): boolean {
    const [first, second, third, fourth] = this.words
    if (first !== 'create') return false
    const kind = second === 'or' && third === 'replace' ? fourth : second
    return kind === 'function' || kind === 'procedure'
  }

  #dollar(line: string, at: number): number {
    const end = isNameStart(line.charCodeAt(at + 1)) ? skip(line, at + 1, isTagPart) : at + 1
    if (line.charCodeAt(end) !== DOLLAR) return at + 1
    this.#mode = 'dollar'
    this.#tag = line.slice(at, end + 1)
    return end + 1
  }

  /** Inside a quote or comment; returns where it ends, or the end of the line. */
  #leave(line: string, from: number): number {
    switch (this.#mode) {
      case 'comment':
        return this.#leaveComment(line, from)
      case 'escape':
        return this.#leaveEscape(line, from)
      default: {
        const closing = this.#mode === 'dollar' ? this.#tag : this.#mode === 'double' ? '"' : "'"
        const at = line.indexOf(closing, from)
        if (at < 0) return line.length
        this.#continued = this.#mode === 'standard' ? 'standard' : null
        this.#mode = 'plain'
        return at + closing.length
      }
    }
  }

  #leaveEscape(line: string, from: number): number {
    for (let at = from; at < line.length; at += 1) {
      const code = line.charCodeAt(at)
      if (code === BACKSLASH) at += 1
      else if (code === QUOTE && line.charCodeAt(at + 1) === QUOTE) at += 1
      else if (code === QUOTE) {
        this.#mode = 'plain'
        this.#continued = 'escape'
        return at + 1
      }
    }
    return line.length
  }

  #leaveComment(line: string, from: number): number {
    for (let at = from; at < line.length - 1; at += 1) {
      const pair = line.charCodeAt(at) * 256 + line.charCodeAt(at + 1)
      if (pair === SLASH * 256 + STAR) this.#comments += 1
      else if (pair === STAR * 256 + SLASH) this.#comments -= 1
      else continue
      at += 1
      if (this.#comments > 0) continue
      this.#mode = 'plain'
      return at + 1
    }
    return line.length
  }
}

function findVariable(line: string, at: number, isVariable: (name: string) => boolean): Variable | null {
  const next = line.charCodeAt(at + 1)
  if (next === COLON) return null
  if (isVariablePart(next)) {
    const end = skip(line, at + 1, isVariablePart)
    return known({ kind: 'variable', at, end, name: line.slice(at + 1, end), form: 'plain' }, isVariable)
  }
  const opening = line.slice(at + 1, at + 3) === '{?' ? '{?' : line.charAt(at + 1)
  const closing = { "'": "'", '"': '"', '{?': '}' }[opening]
  if (closing === undefined) return null
  const start = at + 1 + opening.length
  const end = skip(line, start, isVariablePart)
  if (end === start || line.charAt(end) !== closing) return null
  const form = opening === "'" ? 'literal' : opening === '"' ? 'identifier' : 'test'
  const variable: Variable = { kind: 'variable', at, end: end + 1, name: line.slice(start, end), form }
  return form === 'test' ? variable : known(variable, isVariable)
}

function known(variable: Variable, isVariable: (name: string) => boolean): Variable | null {
  return isVariable(variable.name) ? variable : null
}

function skip(line: string, from: number, belongs: (code: number) => boolean): number {
  let at = from
  while (at < line.length && belongs(line.charCodeAt(at))) at += 1
  return at
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39
}

function isNameStart(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) || code === 0x5f || code >= 0x80
}

function isTagPart(code: number): boolean {
  return isNameStart(code) || isDigit(code)
}

function isVariablePart(code: number): boolean {
  return isNameStart(code) || isDigit(code)
}

function isNamePart(code: number): boolean {
  return isTagPart(code) || code === DOLLAR
}
