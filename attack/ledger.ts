import type { Expected, Outcome } from './outcome.ts'

export type Who = 'attacker' | 'victim'

/** Everything that was seen and done while one attack ran. */
export class Ledger {
  readonly #heard: Record<Who, string[]> = { attacker: [], victim: [] }
  readonly #surprises: string[] = []
  readonly #leaks: string[] = []
  #tries = 0

  /** Keeps what somebody got, and whether the attack had foreseen it. */
  note(who: Who, statement: string, outcome: Outcome, expected: Expected): Outcome {
    this.#tries += 1
    this.#heard[who].push(outcome.text)
    if (!expected.includes(outcome.code)) {
      this.#surprises.push(
        `${who} expected ${expected.join(' or ')}, got ${outcome.code} (${shorten(outcome.text)}) for: ${shorten(statement)}`,
      )
    }
    return outcome
  }

  /** What arrives unasked: notices, notifications, copied rows. */
  hear(who: Who, text: string): void {
    this.#heard[who].push(text)
  }

  /** Something an attack has proved that no canary would show. */
  leak(reason: string): void {
    this.#leaks.push(reason)
  }

  /** A probe for an existing row of the victim must not differ from one for a row that does not exist. */
  compare(
    what: string,
    existing: Outcome,
    missing: Outcome,
    values: readonly [existing: string, missing: string],
  ): void {
    const [a, b] = [existing.text.replaceAll(values[0], '?'), missing.text.replaceAll(values[1], '?')]
    if (existing.code !== missing.code || a !== b) {
      this.leak(`${what} tells an existing foreign row from a missing one: ${shorten(a)} ≠ ${shorten(b)}`)
    }
  }

  get tries(): number {
    return this.#tries
  }

  get surprises(): readonly string[] {
    return this.#surprises
  }

  get leaks(): readonly string[] {
    return this.#leaks
  }

  heardBy(who: Who): string {
    return this.#heard[who].join('\n')
  }
}

function shorten(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > 160 ? `${line.slice(0, 160)}…` : line
}
