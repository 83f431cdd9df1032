/** Where extensions live in every database that holds tenants; tenants look there behind their own place. */
export const EXTENSIONS_SCHEMA = 'extensions'

interface ReviewedExtension {
  /** Why nothing in it reaches past a tenant, read from its SQL and C source. */
  readonly review: string
  /** Functions that would: taken away from everybody, by their signatures. */
  readonly closed?: readonly string[]
}

// The rule: a function may compute from its arguments and read tables as its caller does, with policies. It may not
// open connections or files, run as anybody else, or leave something in the session for the next tenant.

/** The extensions that migrations may use. */
export const reviewedExtensions: Readonly<Record<string, ReviewedExtension>> = {
  btree_gin: { review: 'Operator classes over built-in types; comparison only.' },
  btree_gist: { review: 'Operator classes and distances over built-in types; comparison only.' },
  citext: { review: 'A text type whose comparison folds case; computes from its arguments.' },
  cube: { review: 'A type with operators; computes from its arguments.' },
  dict_int: { review: 'A dictionary template that computes from its options and the word.' },
  earthdistance: { review: 'Functions and domains over cube and point; computes from its arguments.' },
  fuzzystrmatch: { review: 'Distances between two strings; computes from its arguments.' },
  hstore: { review: 'A type with operators; computes from its arguments.' },
  intarray: { review: 'Operators over integer[]; computes from its arguments.' },
  isn: {
    review: 'Types with check digits; isn_weak() switches the checks off for the whole session.',
    closed: ['isn_weak(boolean)'],
  },
  ltree: { review: 'A type with operators; computes from its arguments.' },
  pg_trgm: {
    review: 'Similarity of two strings; set_limit() sets the threshold for the whole session.',
    closed: ['set_limit(real)'],
  },
  pgcrypto: { review: 'Digests, ciphers and random bytes; keys are arguments, none is kept.' },
  seg: { review: 'A type with operators; computes from its arguments.' },
  tablefunc: { review: 'Runs SQL given as text as its caller, so that policies hold for it.' },
  unaccent: {
    review: 'A dictionary over a rules file that is named when the dictionary is made, not by a tenant.',
  },
  'uuid-ossp': { review: 'Makes identifiers; those of version 1 tell the address and clock of the server.' },
}

const REASONS: Readonly<Record<string, string>> = {
  adminpack: 'it reads and writes files of the server',
  dblink: 'it opens connections to other databases',
  file_fdw: 'it reads files of the server',
  insert_username: 'users of the database are not users of the application',
  lo: 'large objects belong to one role for all tenants',
  pageinspect: 'it reads the pages of all tenants',
  pg_buffercache: 'it shows what other tenants use',
  pg_stat_statements: "it shows other tenants' statements",
  pg_visibility: 'it reads the pages of all tenants',
  pgrowlocks: 'it reads the rows of all tenants',
  pgstattuple: 'it counts the rows of all tenants',
  postgres_fdw: 'it opens connections to other databases',
  refint: 'it looks up keys without tenant_id',
  tcn: 'channels of NOTIFY belong to the whole database',
  xml2: 'it reads files and addresses named in a document',
}

/** Why an extension cannot be used, or null. */
export function extensionObjection(name: string): string | null {
  if (Object.hasOwn(reviewedExtensions, name)) return null
  if (/(^|_)pl(perl|python|tcl|v8|java|lua|sh|r$)/.test(name))
    return 'code in this language runs with the rights of the server'
  return REASONS[name] ?? 'nobody has reviewed whether it keeps tenants apart'
}

export const EXTENSION_REMEDY = `Leave it out, or use one of ${Object.keys(reviewedExtensions).sort().join(', ')}.`
