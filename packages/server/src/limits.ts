/** Every bound of the application in one place; units are in the names. */
export const limits = {
  bodyBytesMax: 1024 * 1024,
  /** A picture that is uploaded. */
  pictureBytesMax: 8 * 1024 * 1024,
  picturePixelsMax: 50_000_000,
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
  /** How often members are delivered though nobody asked: what failed before is due again. */
  deliveryIntervalMs: 30_000,
  /** How long a session is believed without asking the catalog: a revoked one works on for as long, elsewhere. */
  sessionCacheSeconds: 60,
  /** How long an API key or a token that was found good is believed, and how many of them. */
  credentialCacheMs: 5_000,
  credentialsCached: 10_000,
  /** API keys of one user, or clients of one organization. */
  apiKeysMax: 100,
  tokenSeconds: 900,
  /** Organizations in one answer. */
  organizationsPerPage: 100,
  /** Open invitations of one organization, and how long each is good. */
  invitationsMax: 200,
  invitationMs: 604_800_000,
  /** Host names of one organization; how long the DNS may take; how long and of how many what was found is remembered. */
  domainsMax: 20,
  dnsMs: 2_000,
  hostCacheMs: 30_000,
  hostsCached: 10_000,
  /** Account deletions that one start goes on with. */
  deletionsResumedMax: 1_000,
  /** How often subscriptions that are due are looked for though nobody asked, and how many are settled at the same time. */
  settlementIntervalMs: 30_000,
  settlementsConcurrency: 4,
  /** How long a process may be silent before another one settles in its place. */
  settlementLeaseMs: 60_000,
  /** The pause after the first failure, and after many. */
  settlementPauseMs: 5_000,
  settlementPauseMsMax: 3_600_000,
  /** How often a subscription is read from its provider though nothing was said of it. */
  providerReadMs: 21_600_000,
  /** How long the provider may take to answer, how often it is asked again, and how many subscriptions of one customer are read. */
  providerMs: 10_000,
  providerRetries: 2,
  subscriptionsReadMax: 100,
  /** How long an event stays known, and how many one event that comes takes away. */
  eventKeptMs: 2_592_000_000,
  eventSweepMax: 20,
  /** Age of a signature from which on it is refused. */
  signatureSeconds: 300,
} as const
