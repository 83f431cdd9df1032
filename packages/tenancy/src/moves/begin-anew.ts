import pg from 'pg'

/** What a move has made at the target is worth nothing. Before the switch it is thrown away, and the move begins anew. */
export class BeginAnew extends Error {}

/** The two places do not have the same tables any more: a migration has come between. */
export class TablesChanged extends BeginAnew {}

/** The two places do not have the same rows, whatever has come between. */
export class PlacesDiffer extends BeginAnew {
  constructor(differences: readonly string[]) {
    super(differences.join('; '))
  }
}

/** Whether an error means that a move has to begin anew. */
export function asksToBeginAnew(error: unknown): error is Error {
  if (error instanceof BeginAnew) return true
  // A constraint that keeps the target from following: a row is there that nobody has brought.
  return error instanceof pg.DatabaseError && error.code?.startsWith('23') === true
}
