/** Every bound of the application in one place; units are in the names. */
export const limits = {
  bodyBytesMax: 1024 * 1024,
  /** How long a request may take to come, from its first byte to its last. */
  requestMs: 120_000,
  /** A picture that is uploaded. */
  pictureBytesMax: 8 * 1024 * 1024,
  picturePixelsMax: 50_000_000,
  /** How long requests that are being answered may go on when the process is asked to stop. */
  shutdownMs: 10_000,
  /** How long a readiness check may take. */
  readinessMs: 2_000,
  /** How long somebody who goes on asking waits for the refusal, and how many of these wait in one process. */
  refusalPauseMs: 1_000,
  refusalsPausedMax: 1_000,
  /**
   * Between two beginnings of one tenant while others are there, unless its plan has more; how late a timer may be; how many begin
   * before they begin evenly; and how many begin each second at least.
   */
  laneGapMs: 4,
  laneLatenessMs: 2,
  laneBeginningsAtOnce: 8,
  laneBeginningsPerSecondMin: 10,
  /** How long a tenant is there after its last request. */
  laneKeptMs: 10_000,
  /** How long what a tenant has is believed without counting it again: usually, and from this part of what it may have on. */
  quotaMeasuredMs: 30_000,
  quotaNearMs: 1_000,
  quotaNear: 0.9,
  /** How often it is said that a tenant has more than its soft limit; of how many tenants it is known what they have. */
  quotaToldMs: 3_600_000,
  quotasRemembered: 50_000,
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
  /** How long somebody else's reading of the same may last to be waited for. */
  readingJoinedMs: 1_000,
  credentialsCached: 10_000,
  /** API keys of one user, or clients of one organization. */
  apiKeysMax: 100,
  tokenSeconds: 900,
  /** How long a token that was mailed to a new address is good. */
  emailChangeSeconds: 3_600,
  /** How long an operator may take to redeem a token, how long they act as a user then, and how many of these go on for one of them. */
  impersonationTokenSeconds: 60,
  impersonationSeconds: 1_800,
  impersonationsMax: 20,
  /** How often those are looked for that are over; how many ends one look writes down; in a list; how long one is kept after it was asked for. */
  impersonationSweepMs: 30_000,
  impersonationSweepMax: 100,
  impersonationsListed: 100,
  /** Impersonations of which a process remembers that they were refused for asking too often. */
  impersonationsRefused: 1_000,
  impersonationKeptMs: 400 * 86_400_000,
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
  /** How often accounts are looked for whose deletion or change was interrupted, and how many one look goes on with. */
  accountsResumedMs: 60_000,
  deletionsResumedMax: 1_000,
  /** How often subscriptions that are due are looked for though nobody asked, and how many are settled at the same time. */
  settlementIntervalMs: 30_000,
  settlementsConcurrency: 4,
  /** Moves that one process has begun for subscriptions and that are not over. */
  settlementMovesMax: 100,
  /** How long a process may be silent before another one settles, or moves a tenant, in its place. */
  settlementLeaseMs: 60_000,
  /** The pause after the first failure, and after many. */
  settlementPauseMs: 5_000,
  settlementPauseMsMax: 3_600_000,
  /** The least time until a subscription is looked at again for what is to come, whatever this process takes the time to be. */
  settlementRestMs: 1_000,
  /** How often a subscription is read from its provider though nothing was said of it. */
  providerReadMs: 21_600_000,
  /** How long the provider may take to answer, how often it is asked again, and how many subscriptions of one customer are read. */
  providerMs: 10_000,
  providerRetries: 2,
  subscriptionsReadMax: 100,
  /** How long an event stays known, and how many one event that comes takes away. */
  eventKeptMs: 2_592_000_000,
  eventSweepMax: 20,
  /** How often usage that is due is looked for, and how long after its hour it is rolled up. */
  usageIntervalMs: 300_000,
  usageSettleMs: 600_000,
  /** How far back sums are made again, for what was committed late. */
  usageRereadMs: 86_400_000,
  /** How long an event of usage is kept, and with it the key under which it counts once; how many one statement takes away, and one roll-up, in such. */
  usageKeptMs: 90 * 86_400_000,
  usageSweepMax: 10_000,
  usageSweepsMax: 100,
  /** Sums that the provider is told of in one go; tenants whose marks and warnings a process remembers. */
  usageReportsMax: 500,
  usageReportFailuresMax: 5,
  usageMarksKept: 100_000,
  /** How long it is believed whether an organization has others below it, where that is asked at all. */
  usageTreeMs: 30_000,
  /** Months before this one whose sums a roll-up makes sure of. */
  usageMonthsKept: 1,
  /** Age of a signature from which on it is refused. */
  signatureSeconds: 300,
  /** How often a request is tried that collides with another one. */
  requestAttemptsMax: 5,
  /** Lines of an audit log that an export holds in memory. */
  auditBatch: 500,
  /** How often a job is begun again, unless it says so itself, and how long one run may take. */
  jobRetries: 10,
  jobTimeoutMs: 300_000,
  /** The pause after the first failure; each later one is twice as long, up to the second. */
  jobPauseMs: 1_000,
  jobPauseMsMax: 3_600_000,
  jobPayloadBytesMax: 65_536,
  jobErrorLengthMax: 1_000,
  /** Jobs that are worked on at once in one process. */
  jobsConcurrency: 4,
  /** One turn of a tenant: so many jobs, none of which begins after so long. */
  jobsPerTurn: 20,
  jobTurnMs: 500,
  /** When a tenant's jobs are looked at though whoever enqueued one was killed; how many of these are remembered. */
  jobPromiseMs: 60_000,
  jobPromisesCached: 10_000,
  /** How often a tenant with jobs that may not be entered is tried. */
  jobClosedMs: 300_000,
  /** How long jobs may go on when the process is asked to stop; what then goes on is run again. */
  jobShutdownMs: 5_000,
  /** How long before new jobs are found without being announced. */
  jobPollMs: 2_000,
  /** How often a worker looks for others that were killed, and how long a job has been theirs by then. */
  jobRescueMs: 5_000,
  /** How far back a moment that was missed is made up for. */
  cronCatchUpMs: 32 * 86_400_000,
  /** The same where a job has never been due before: it may be new. */
  cronFirstMs: 3_600_000,
  /** How long a job that was given up is kept. */
  jobFailuresKeptMs: 90 * 86_400_000,
  /** How long a worker that ends waits for its last jobs to be recorded, and how often it looks. */
  workerBusyMsMax: 2_000,
  workerBusyPollMs: 10,
  /** Pause before a worker starts anew that could not start, or has failed. */
  workerRestartMs: 5_000,
} as const
