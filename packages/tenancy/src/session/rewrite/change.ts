/** One insertion into a statement. */
export interface Change {
  readonly kind: 'conflict-target' | 'group-by' | 'like-prefix' | 'search-hint'
  /** Where, in bytes of the text. */
  readonly at: number
  readonly inserted: string
  readonly reason: string
  /** Makes the same change to the parsed statement, to compare the two. */
  apply(): void
}
