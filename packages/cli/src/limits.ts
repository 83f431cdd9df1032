/** Every bound of the command in one place; units are in the names. */
export const limits = {
  readChunkBytes: 262_144,
  /** One statement has to be in memory to be sent. */
  statementBytesMax: 268_435_456,
  /** Statements longer than this are sent without having been parsed. */
  parsedStatementCharactersMax: 4_000_000,
  /** Rows of COPY travel in blocks of about this size. */
  copyBlockBytes: 65_536,
  /** Short INSERT statements travel together, up to this many bytes and statements. */
  insertBatchBytes: 65_536,
  insertBatchStatements: 500,
  variableSubstitutionsPerLineMax: 1_000,
  conditionDepthMax: 100,
  /** How long one statement of a comparison may take; a view can be slow. */
  statementTimeoutMs: 3_600_000,
  /** Rows are loaded and compared on this many connections per tenant. */
  connectionsPerDatabase: 4,
  /** How long one of them is waited for, on a machine that has other things to do. */
  connectionWaitMs: 60_000,
  catalogObjectsPerQuery: 200,
  /** Of the server, while it builds an index. */
  indexMemoryMiB: 256,
  /** How often the bar is drawn. */
  progressEveryMs: 100,
  /** How often a line is written where there is no terminal, and how often a watched move is looked at. */
  progressLineEveryMs: 2_000,
  watchEveryMs: 500,
  movesListed: 1_000,
  /** As much as the library grants. */
  rollbackWindowMsMax: 2_592_000_000,
  /** Below, a copy would rest a thousand times as long as it works. */
  copyShareMin: 0.001,
  /** Unexplained differences that are listed per strategy; more are only counted. */
  differencesMax: 1_000,
} as const
