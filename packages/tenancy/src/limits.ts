/** Every bound of the library in one place; units are in the names. */
export const limits = {
  /** A token is renewed when less than half of this is left. */
  tokenLifetimeSeconds: 60,
  /** How long an old token key is accepted after the new one seals: life of a route, of a token, and some. */
  tokenKeyGraceSeconds: 120,
  /** Longest wait of a rotation, a day: far below what a timer can count. */
  tokenKeyGraceSecondsMax: 86_400,
  /** How often one unit of work is re-routed or retried before the error is the caller's. */
  attemptsMax: 5,
  /** Longest pause between two attempts; the pauses grow from a tenth of it. */
  retryPauseMsMax: 250,
  /** Below the 100 that a PostgreSQL server allows by default. */
  connectionsPerServer: 80,
  connectionsPerDatabase: 10,
  connectionWaitMs: 5_000,
  connectionIdleMs: 30_000,
  /** Units of work that may wait for a connection: of one tenant, of all tenants of a database. */
  connectionWaitersPerTenant: 1_000,
  connectionWaitersPerPoolMax: 100_000,
  /** How long a connection serves its own database while others wait for one: this many times what opening took. */
  connectionTurnFactor: 4,
  connectionTurnMsMax: 1_000,
  connectionSweepMs: 1_000,
  /** Beyond the server's statement timeout: how long the network may take before a connection is given up. */
  networkGraceMs: 5_000,
  statementTimeoutMs: 30_000,
  /** Prepared statements kept per connection, least recently used out first. */
  statementsPerConnection: 500,
  /** Longer texts are prepared only when they are named: most of them are lists of values. */
  repeatedTextPreparedCharacters: 8_000,
  /** SQL texts whose classification is kept. */
  classificationsCached: 5_000,
  /** All of their characters together, and the most one of them may have; longer texts are read each time. */
  classificationsCachedCharacters: 16_000_000,
  classifiedTextCachedCharacters: 64_000,
  /** Values of one statement: what the protocol can count. */
  statementValuesMax: 65_535,
  /** One statement of a bulk insert: rows, parameters, bytes of values. */
  bulkRowsMax: 1_000,
  bulkParametersMax: 4_000,
  bulkBytesMax: 4_000_000,
  /** Rows a stream fetches at once, when it is not told, and at most. */
  streamBatchRows: 500,
  streamBatchRowsMax: 10_000,
  /** How long one COPY may last, and what is kept of it for its reader. */
  copyOutMs: 3_600_000,
  copyOutBufferBytes: 256_000,
  /** How long a reader of a stream may stay away. */
  readerIdleMs: 60_000,
  /** Different shapes of places, and places whose shape is known, for rewriting. */
  placeShapesCached: 200,
  placesCached: 10_000,
  placeShapeLifetimeMs: 60_000,
  /** Tenants whose route is kept in memory, and for how long it is believed when no change of it would be heard. */
  routesCached: 50_000,
  routeLifetimeMs: 30_000,
  /** How long a route is used on while the catalog cannot be reached, how long the catalog may take to answer, and how long a connection to it is kept unused. */
  catalogRetryMs: 1_000,
  catalogConnectMs: 10_000,
  catalogIdleMs: 60_000,
  /** Connections of the application's own tables beside the catalog. */
  controlPlaneConnections: 10,
  /** Ancestors that a tenant may have (sql/catalog has this too), and that count for what somebody is there. */
  lineageMax: 20,
  /**
   * What users are in tenants, remembered: how many answers; how long one is believed when no change of it would be heard; how
   * long the connection that hears may have been silent. The last one is the longest that an ended membership counts. And how long
   * somebody else's reading of the same may last to be waited for.
   */
  lineagesCached: 50_000,
  lineageLifetimeMs: 5_000,
  lineageSilenceMs: 10_000,
  lineageJoinedMs: 1_000,
  /** How often the connection that hears of changes proves that it lives; when it is opened again after it was lost. */
  catalogBeatMs: 5_000,
  catalogListenRetryMs: 2_000,
  /** How long an answer on the connection that holds a lock says that it is held: no longer than what it is asked for takes. */
  lockHeardMs: 10,
  /** How long work waits for a place that a tenant is just arriving at, and between two looks. */
  arrivalWaitMs: 15_000,
  arrivalPollMs: 4,
  /** How long before the switch those who route to the tenant are told of its next place. */
  arrivalNoticeMs: 150,
  /** When whoever waits for it has the move brought on: the process that was to do it may be gone. */
  arrivalOverdueMs: 1_000,
  /** How often what tenants do is added to the catalog, and how many of them one statement has. */
  activityFlushMs: 60_000,
  activityPerStatement: 5_000,
  /** Moves that one process works on at the same time. */
  movesConcurrency: 4,
  movesPerPageMax: 1_000,
  /** How often a process looks for moves that nobody works on, how long when it could not, and at how many. */
  moveWatchMs: 1_000,
  moveWatchMsMax: 30_000,
  movesWatchedMax: 100,
  /** How often it asks the places of moves that nobody is to take up whether their tenants have left, and of how many. */
  moveDepartureMs: 2_000,
  movesAskedMax: 10,
  /** How often a move is taken up without being asked for; the pause after each time doubles. */
  moveAttemptsMax: 8,
  moveRetryMs: 5_000,
  moveRetryMsMax: 600_000,
  /** A process whose machine does not answer for three times as long works on no move. */
  moverKeepAliveSeconds: 10,
  /** Tenants of one shared database that a rebalancing looks at, the biggest ones; pages of a table that are read to find them. */
  rebalanceTenantsPerDatabase: 1_000,
  rebalancePagesRead: 2_000,
  /** How far above the average a load may be, as a part of it, and the most moves of one plan. */
  rebalanceThreshold: 0.2,
  rebalanceMoves: 10,
  rebalanceActivityPart: 0.5,
  rebalanceMovesMax: 1_000,
  serverTenantsListed: 20,
  /** Tenants that one plan of a drain looks at. */
  drainPlanTenantsMax: 10_000,
  /** How long the way back stays open when nobody says, and the most that may be asked for. */
  rollbackWindowMs: 3_600_000,
  rollbackWindowMsMax: 2_592_000_000,
  /** How long a cutover waits for the tenant's transactions, how long it may last, and how often it is tried. */
  cutoverLockMs: 100,
  cutoverMs: 500,
  cutoverPauseMs: 200,
  cutoversMax: 600,
  /** Keys touched since the last comparison of all rows, at most, when the tenant is switched. */
  cutoverKeysMax: 20_000,
  /** How many of them are remembered at most. */
  touchedKeysMax: 100_000,
  /** So few need not be compared beforehand; how often that is tried. */
  cutoverKeysFew: 50,
  followUpsMax: 5,
  /** Rehearsals before a move whose tenant writes faster than they go is given up. */
  rehearsalsMax: 100,
  /** How long a rehearsal may hold the tenant's lock. */
  rehearsalMs: 250,
  /** Longest time a marker must take through the log before the tenant is switched. */
  cutoverLagMsMax: 40,
  markerWaitMs: 60_000,
  /** How often a mover asks how far the server has read its log. */
  streamPingMs: 10_000,
  /** Changes that are applied together, and so many times as many may wait for it. */
  applyBatchMax: 10_000,
  applyBacklogBatches: 5,
  /** The same in bytes of messages; one of them may be larger. */
  applyBatchBytesMax: 4_000_000,
  applyBacklogBytesMax: 16_000_000,
  /** Changes that are applied together while a copy's time is caught up with, and the longest rest between them. */
  catchUpBatchMax: 100,
  catchUpRestMs: 100,
  /** How many seconds of a tenant's writes are caught up with in one, and how long it may begin by resting. */
  catchUpSpeed: 4,
  catchUpGraceMs: 1_000,
  /** How often one mover throws a copy away and begins anew, before it says why and stops. */
  moveRestartsMax: 3,
  /** Part of the time that a move uses for copies, comparisons and removals, unless it is told another one. */
  moveShare: 0.1,
  moveShareMin: 0.001,
  /** Bytes that a copy writes at a time, or one row; and when it has all of the time. */
  copyPieceBytes: 8_192,
  copyPieceBytesMax: 131_072,
  /** How long a throttled piece of work goes on before it rests. */
  throttleStretchMs: 2,
  /** Rows that a query over all rows of a tenant reads before it rests, and the milliseconds that they are taken to cost. */
  restAfterRows: 300,
  restAfterMs: 1,
  /** How often it looks how long a small write takes, and how often before it begins. */
  throttleProbeMs: 100,
  throttleProbes: 5,
  /** How much longer than usual a small write may take, and how much longer the rests become at most. */
  throttleSlackMs: 5,
  throttleSlowdownMax: 16,
  /** How often a mover looks for requests and writes its progress down. */
  moveProgressMs: 500,
  /** How long the making of a replication slot may wait for transactions of the whole server. */
  slotWaitMs: 60_000,
  /** Bytes of its log that a server keeps for one replication slot before the doctor says so. */
  slotRetainedBytesNoted: 1_073_741_824,
  /** Rows that one deletion of a purge takes. */
  purgeRows: 5_000,
  /** Ids a shared sequence is pushed ahead of the one a tenant comes from. */
  sequenceHeadroom: 1_000,
  /** Databases whose credentials are kept in memory, decrypted. */
  poolsKept: 10_000,
  connectionsPerSilo: 20,
  connectionsPerBroughtDatabase: 20,
  /** How long an administrator's connection may take to open. */
  administratorConnectMs: 10_000,
  /** After this silence the system asks whether the other side of an administrator's connection still lives. */
  administratorKeepAliveMs: 10_000,
  /** Brought databases that are migrated or examined at the same time; a silent one delays the others little. */
  broughtConcurrency: 8,
  /** Objects of a customer that an error names. */
  objectsNamedMax: 10,
  /** CONNECTION LIMIT of each login role. */
  loginConnectionsMax: 200,
  /** The same for the logins of fleet queries and scripts. */
  furtherLoginConnectionsMax: 50,
  /** Tenants that a fleet query or a fleet job works on at the same time. */
  fleetConcurrency: 8,
  fleetConcurrencyMax: 64,
  /** Connections of fleet queries to one shared database. */
  fleetConnectionsPerDatabase: 8,
  /** Characters of who uses the unscoped path, and why. */
  adminWhoLengthMax: 200,
  adminWhyLengthMax: 1_000,
  suspensionReasonLengthMax: 1_000,
  /** Changes of members that one delivery hands on when it is not told, and at most; those of one statement. */
  memberDeliveries: 10_000,
  memberDeliveriesMax: 1_000_000,
  membersPerStatement: 500,
  /** Pause before a delivery that failed is tried again, doubled each time up to the maximum. */
  memberRetryMs: 1_000,
  memberRetryMsMax: 300_000,
  /** Deliveries of one change that have failed before the doctor calls it stuck: after half a minute. */
  memberAttemptsStuck: 5,
  /** Tenants that are delivered to at the same time. */
  memberConcurrency: 8,
  /** Characters. */
  memberNameLengthMax: 200,
  memberEmailLengthMin: 3,
  memberEmailLengthMax: 254,
  memberRoleLengthMax: 64,
  /** How long work that has begun may go on when its tenant is closed, and the most that may be asked for. */
  closingGraceMs: 5_000,
  closingGraceMsMax: 3_600_000,
  /** How long ending a session may take before the next attempt. */
  terminationWaitMs: 5_000,
  /** How often cloning waits for whoever is connected to the template. */
  templateWaitAttemptsMax: 40,
  actorFieldLengthMax: 128,
  /** How often adoption drops what is refused and tries again. */
  adoptionAttemptsMax: 50,
  tenantNameLengthMax: 200,
  tenantsPerPageMax: 1_000,
  migrationFilesMax: 10_000,
  migrationDirectoriesMax: 100,
  /** Highest values the configuration may ask for. */
  connectionsPerPoolMax: 200,
  connectionsPerServerMax: 10_000,
  connectionWaitersConfigurableMax: 100_000,
  connectionTimesMsMax: 3_600_000,
  serversMax: 1_000,
  serverLabelsMax: 20,
  /** What a server holds when the configuration says nothing, and the most it may say. */
  databasesPerServer: 5_000,
  sharedDatabasesPerServer: 50,
  rowTenantsPerDatabase: 1_000_000,
  schemasPerDatabase: 100,
  serverCapMax: 100_000_000,
  /** How much of the load a server is to carry, in relation to others: of two with these the one takes a million times as much. */
  serverWeightMin: 0.001,
  serverWeightMax: 1_000,
  warmDatabasesMax: 1_000,
  /** How long a refill of warm databases waits after whoever asked for it; its pauses after failures double. */
  refillDelayMs: 100,
  refillRetryMs: 1_000,
  refillRetryMsMax: 300_000,
  embeddedConnections: 200,
  /** Replaying the log after a crash counts into it. */
  embeddedStartMs: 60_000,
  embeddedStartAttempts: 20,
  embeddedRetryMs: 500,
  /** How long each of fast shutdown, immediate shutdown and kill may take before the next one. */
  embeddedSignalWaitMs: 30_000,
  embeddedPollMs: 20,
  /** How long a lock file may be empty, between its creation and its writing, while a server starts. */
  embeddedPidFileWaitMs: 500,
  embeddedLogBytes: 10_000_000,
} as const
