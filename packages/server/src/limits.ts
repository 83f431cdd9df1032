/** Every bound of the application in one place; units are in the names. */
export const limits = {
  bodyBytesMax: 1024 * 1024,
  /** How long requests that are being answered may go on when the process is asked to stop. */
  shutdownMs: 10_000,
  /** How long a readiness check may take. */
  readinessMs: 2_000,
  /** Delay of the event loop from which on requests are turned away. */
  eventLoopDelayMsMax: 2_000,
  /** Characters of an Idempotency-Key, and how long its answer is kept. */
  idempotencyKeyLengthMax: 255,
  idempotencyKeptMs: 86_400_000,
  /** Answers whose time is over that one request takes away. */
  idempotencySweepMax: 20,
} as const
