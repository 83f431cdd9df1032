/** One backslash command, read as psql reads it. */
export interface MetaCommand {
  readonly name: string
  readonly words: readonly string[]
  /** Where the line goes on: behind `\\`, or its end. */
  readonly end: number
}

/** @param at just behind the backslash */
export function readMetaCommand(
  line: string,
  at: number,
  lookUp: (name: string) => string | undefined,
): MetaCommand {
  let end = at
  while (end < line.length && !isSpace(line.charAt(end)) && line.charAt(end) !== '\\') end += 1
  const name = line.slice(at, end)
  const words: string[] = []
  for (;;) {
    while (end < line.length && isSpace(line.charAt(end))) end += 1
    if (end >= line.length) return { name, words, end }
    if (line.charAt(end) === '\\') return { name, words, end: line.charAt(end + 1) === '\\' ? end + 2 : end }
    const word = readWord(line, end, lookUp)
    words.push(word.text)
    end = word.end
  }
}

/** Parts in quotes and without follow each other directly: `a'b c'd` is one word. */
function readWord(
  line: string,
  from: number,
  lookUp: (name: string) => string | undefined,
): { text: string; end: number } {
  let text = ''
  let at = from
  while (at < line.length && !isSpace(line.charAt(at)) && line.charAt(at) !== '\\') {
    const character = line.charAt(at)
    if (character === "'" || character === '"') {
      const quoted = readQuoted(line, at + 1, character)
      text += quoted.text
      at = quoted.end
    } else if (character === ':') {
      const variable = readVariable(line, at + 1)
      const value = variable && (variable.test ? truth(lookUp(variable.name)) : lookUp(variable.name))
      text += value ?? line.slice(at, variable?.end ?? at + 1)
      at = variable?.end ?? at + 1
    } else {
      text += character
      at += 1
    }
  }
  return { text, end: at }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', b: '\b', r: '\r', f: '\f' }

function readQuoted(line: string, from: number, quote: string): { text: string; end: number } {
  let text = ''
  for (let at = from; at < line.length; at += 1) {
    const character = line.charAt(at)
    const next = line.charAt(at + 1)
    if (character === quote && next === quote) {
      text += quote
      at += 1
    } else if (character === quote) return { text, end: at + 1 }
    else if (character === '\\' && quote === "'") {
      text += escapes[next] ?? next
      at += 1
    } else text += character
  }
  return { text, end: line.length }
}

interface VariableUse {
  readonly name: string
  readonly end: number
  /** `:{?name}`: whether it is set. */
  readonly test: boolean
}

/** `:name`, `:'name'`, `:"name"` or `:{?name}`; @param from just behind the colon */
function readVariable(line: string, from: number): VariableUse | null {
  const test = line.startsWith('{?', from)
  const quote = line.charAt(from)
  const start = test ? from + 2 : quote === "'" || quote === '"' ? from + 1 : from
  let end = start
  while (end < line.length && isVariablePart(line.charCodeAt(end))) end += 1
  if (end === start) return null
  return { name: line.slice(start, end), end: start === from ? end : end + 1, test }
}

function truth(value: string | undefined): string {
  return value === undefined ? 'false' : 'true'
}

function isVariablePart(code: number): boolean {
  const digit = code >= 0x30 && code <= 0x39
  const letter = (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a)
  return digit || letter || code === 0x5f || code >= 0x80
}

function isSpace(character: string): boolean {
  return character === ' ' || character === '\t' || character === '\r'
}
