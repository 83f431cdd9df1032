/** What errors.ts says about moves. */
export const moveErrors = {
  MOVE_REFUSED: {
    status: 409,
    message: 'Tenant {key} cannot be moved: {reasons}',
    remedy: 'Remove what is named and start the move again; nothing was changed.',
  },
  MOVE_OPTION_INVALID: {
    status: 400,
    message: 'A move cannot have this {field}',
    remedy: 'Give a number from {range}.',
  },
  MOVE_NOT_FOUND: {
    status: 404,
    message: 'No move {move}',
    remedy: 'See tenancy.moves.list().',
  },
  MOVE_OVER: {
    status: 409,
    message: 'Move {move} cannot be asked to {request}: it is {state}',
    remedy: 'Before the switch a move can be cancelled, afterwards rolled back until its window ends.',
  },
  MOVE_NOT_ABANDONED: {
    status: 409,
    message: 'Move {move} cannot be abandoned: {reason}',
    remedy:
      'Where both servers answer, cancel it, roll it back or finish it; a server that a tenant lives on has to come back.',
  },
  MOVE_CANCELLED: {
    status: 409,
    message: 'Move {move} was cancelled while it ran',
    remedy:
      'The tenant is where it was, and nothing is left of the move; start another one when you want it.',
  },
  MOVE_TAKEN_OVER: {
    status: 503,
    message: 'Move {move} has been taken over by another process',
    remedy: 'Nothing is lost: that process goes on. See tenancy.moves.get().',
  },
  MOVE_STALLED: {
    status: 503,
    message: 'Move {move} does not go on: {reason}',
    remedy: 'Remove the reason, then call tenancy.moves.resume(); the tenant works on where it is.',
  },
} as const
