/** The tenant that a request is about. */
export interface LimitedTenant {
  readonly id: string
  /** Null where it is not known: what is usual holds. */
  readonly plan: string | null
}
