import type { Problem } from '../api/index.ts'

/** What the application refuses on its own account; becomes a problem+json answer. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly status: number
  readonly code: string
  readonly errors: Problem['errors']

  constructor(status: number, code: string, detail: string, errors?: Problem['errors']) {
    super(detail)
    this.status = status
    this.code = code
    this.errors = errors
  }
}
