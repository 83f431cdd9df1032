/** What errors.ts says about servers and what is done with all tenants of one. */
export const serverErrors = {
  ALREADY_RUNNING: {
    status: 409,
    message: '{work} is under way in another process',
    remedy: 'Wait until it has ended, or end that process; then repeat it.',
  },
  SERVER_IN_USE: {
    status: 409,
    message: 'Server {server} cannot be removed: {reason}',
    remedy: 'Drain it with tenancy.servers.drain() until nothing is left, then remove it.',
  },
  REBALANCE_INVALID: {
    status: 400,
    message: 'A rebalancing cannot have this {field}',
    remedy: 'Give a number from {range}.',
  },
  DRAIN_CANCELLED: {
    status: 409,
    message: 'The drain of {server} was taken back while it ran',
    remedy: 'Who was moved stays where it is; drain the server again if it is to be empty.',
  },
} as const
