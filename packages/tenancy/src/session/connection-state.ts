import { QuickScaleError } from '../errors.ts'
import type { Classification } from './classify.ts'
import type { contextStatements, OpeningFacts } from './context.ts'
import type { Scope } from './scope.ts'

/** Transaction status of ReadyForQuery: idle, in a transaction, in a failed one. */
export type TransactionStatus = 'I' | 'T' | 'E'

/** Under other values the server reads a text otherwise than the parser does. */
const classifiedUnder: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
}

/**
 * What is known of one connection between flushes, all of it told by the server. Decides what may be sent, what must
 * follow it, and whether the connection may serve anybody else afterwards.
 */
export class ConnectionState {
  status: TransactionStatus = 'I'
  /** Why this connection must not serve anybody else, or null. */
  spoiled: string | null = null
  /** When the running flush was sent, in ms of performance.now(); null when none is. */
  busySince: number | null = null
  /** A transaction pooler is in between: to end this connection does not end the session on the server. */
  pooled = false
  /** Until when it may serve its own database while others wait, and since when it is unused, in the same ms. */
  turnEndsAtMs = 0
  idleSinceMs = 0
  #facts: OpeningFacts | null = null
  #owner: Scope | null = null
  #unknownFunctionsCalled = false
  readonly #parametersAtStart = new Map<string, string>()
  readonly #garblers = new Set<string>()
  /** Why the server might read a text otherwise than it was classified, or null. */
  #garbling: string | null = null
  readonly #changedParameters = new Set<string>()

  open(facts: OpeningFacts): void {
    if (facts.roleProblem !== null) {
      throw new QuickScaleError('ROLE_UNSAFE', { role: facts.roleName, reason: facts.roleProblem })
    }
    if (this.#garbling !== null) {
      throw new QuickScaleError('ROLE_UNSAFE', { role: facts.roleName, reason: this.#garbling })
    }
    this.#facts = facts
  }

  get facts(): OpeningFacts {
    if (this.#facts === null) throw new Error('the connection is not open')
    return this.#facts
  }

  /** Notes a ParameterStatus message; what is set for one transaction only is reported back at its end. */
  noteParameter(name: string, value: string): void {
    if (Object.hasOwn(classifiedUnder, name)) this.#noteGarbling(name, value)
    if (this.#facts === null) this.#parametersAtStart.set(name, value)
    else if (this.#parametersAtStart.get(name) === value) this.#changedParameters.delete(name)
    else this.#changedParameters.add(name)
  }

  #noteGarbling(name: string, value: string): void {
    if (value === classifiedUnder[name]) this.#garblers.delete(name)
    else this.#garblers.add(name)
    this.#garbling = this.#garblers.size === 0 ? null : `unusual ${[...this.#garblers].join(', ')}`
  }

  /** @returns why the statement must not be sent now, or null */
  beginFlush(scope: Scope, statement: Classification): Error | null {
    const idle = this.status === 'I'
    if (!idle && this.#owner !== scope) {
      this.spoiled = 'a transaction was left open'
      return new QuickScaleError('CONNECTION_RELEASED')
    }
    if (this.#garbling !== null && statement.kind !== 'end') {
      return new QuickScaleError('STATEMENT_REFUSED', { reason: this.#garbling })
    }
    if (!idle && statement.kind === 'begin') {
      return new QuickScaleError('STATEMENT_REFUSED', {
        reason: 'a transaction is open already; use SAVEPOINT',
      })
    }
    if (idle && statement.kind === 'savepoint') {
      return new QuickScaleError('STATEMENT_REFUSED', { reason: 'a savepoint needs an open transaction' })
    }
    if (this.pooled && statement.callsUnknownFunctions && this.facts.advisoryLocksAllowed) {
      return new QuickScaleError('STATEMENT_REFUSED', {
        reason:
          'its functions might leave a session lock behind a pooler, on a server that cannot forbid them',
      })
    }
    this.busySince = performance.now()
    if (idle) {
      this.#owner = scope
      this.#unknownFunctionsCalled = false
    }
    this.#unknownFunctionsCalled ||= statement.callsUnknownFunctions
    return null
  }

  /** @param cleanUpSkipped a statement failed, and with it whatever was to follow in its flush */
  endFlush(scope: Scope, cleanUpSkipped: boolean): void {
    this.busySince = null
    if (this.status !== 'I' || this.#owner !== scope) return
    this.#owner = null
    if (this.#changedParameters.size > 0) {
      this.spoiled = `session parameters were changed: ${[...this.#changedParameters].join(', ')}`
    }
    // Settings do not survive the failure, a session-level advisory lock does.
    if (cleanUpSkipped && this.#unknownFunctionsCalled && this.facts.advisoryLocksAllowed) {
      this.spoiled = 'a failed statement may have left a session lock'
    }
  }

  /** What must follow a statement so that nothing of it reaches the next tenant. */
  cleanUps(statement: Classification): readonly (keyof typeof contextStatements)[] {
    const stays = statement.kind === 'begin' || (this.status !== 'I' && statement.kind !== 'end')
    if (stays) return []
    const needed: (keyof typeof contextStatements)[] = []
    if (this.facts.setConfigAllowed) needed.push('resetAll')
    if (this.facts.advisoryLocksAllowed && this.#unknownFunctionsCalled) needed.push('unlockAll')
    return needed
  }
}
