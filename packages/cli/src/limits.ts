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
  catalogObjectsPerQuery: 200,
  /** How often the bar is drawn. */
  progressEveryMs: 100,
  /** Unexplained differences that are listed per strategy; more are only counted. */
  differencesMax: 1_000,
} as const
