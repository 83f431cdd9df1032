import { limits } from '../limits.ts'
import { unusable } from './unusable.ts'

interface Branch {
  readonly line: number
  /** Whether the surroundings are read at all. */
  readonly reachable: boolean
  taken: boolean
  active: boolean
  last: boolean
}

/** The \if … \elif … \else … \endif of a script. */
export class Conditions {
  readonly #open: Branch[] = []

  get active(): boolean {
    return this.#open.at(-1)?.active ?? true
  }

  /** The line of a branch that has not ended. */
  get unfinished(): number | undefined {
    return this.#open.at(-1)?.line
  }

  /** Whether the command was one of these four. */
  apply(name: string, words: readonly string[], line: number): boolean {
    if (name === 'if') {
      if (this.#open.length >= limits.conditionDepthMax) throw unusable(line, '\\if is nested too deeply')
      const reachable = this.active
      const active = reachable && readBoolean(words, line)
      this.#open.push({ line, reachable, taken: active, active, last: false })
      return true
    }
    if (name !== 'elif' && name !== 'else' && name !== 'endif') return false
    const branch = this.#open.at(-1)
    if (!branch || (branch.last && name !== 'endif')) throw unusable(line, `\\${name} without \\if`)
    if (name === 'endif') {
      this.#open.pop()
      return true
    }
    branch.last = name === 'else'
    branch.active = branch.reachable && !branch.taken && (name === 'else' || readBoolean(words, line))
    branch.taken ||= branch.active
    return true
  }
}

/** Any beginning of true, false, yes, no; on, off, 1, 0. */
function readBoolean(words: readonly string[], line: number): boolean {
  const text = words.join(' ').toLowerCase()
  if (text !== '') {
    if ('true'.startsWith(text) || 'yes'.startsWith(text) || text === 'on' || text === '1') return true
    if ('false'.startsWith(text) || 'no'.startsWith(text) || text === 'of' || text === 'off' || text === '0')
      return false
  }
  throw unusable(line, `\\if and \\elif want true or false, not "${text}"`)
}
