/** enter() refused: nothing has happened yet, so the unit of work may be routed again. */
export class EnterRefusal extends Error {
  readonly sqlState: string
  readonly detail: string | undefined

  constructor(cause: Error & { code?: string; detail?: string }) {
    super(cause.message, { cause })
    this.sqlState = cause.code ?? ''
    this.detail = cause.detail
  }
}
