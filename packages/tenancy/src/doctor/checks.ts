/** How much a finding matters: a wall is open, something is weaker than it could be, something is worth knowing. */
export type FindingLevel = 'error' | 'warning' | 'note'

interface CheckDefinition {
  readonly level: FindingLevel
  /** `{subject}` and `{detail}` are filled in. */
  readonly message: string
  readonly remedy: string
}

/** Everything the doctor looks for; docs/reference/doctor.md documents the same list, and a test compares the two. */
export const checks = {
  'server-outdated': {
    level: 'warning',
    message: 'PostgreSQL {detail} shows samples of other tenants’ values through planner statistics',
    remedy: 'Update to 15.14, 16.10, 17.6, 18 or later.',
  },
  'server-unsafe': {
    level: 'warning',
    message: '{subject} is {detail}: a crash can lose or damage committed rows',
    remedy: 'Switch it on, but for tests and development.',
  },
  'moves-unprepared': {
    level: 'note',
    message: '{subject} is {detail}: tenants cannot be moved while they are used',
    remedy: 'Set wal_level = logical and restart the server.',
  },
  'slot-behind': {
    level: 'warning',
    message: 'Replication slot {subject} makes the server keep {detail} of its log',
    remedy:
      'Have its reader go on, or drop it: quickscale move show says what a move waits for, quickscale move abandon ends one whose other server is gone.',
  },
  'stream-orphaned': {
    level: 'warning',
    message: 'The {detail} {subject} belongs to a move that is over or unknown',
    remedy:
      'Drop it with pg_drop_replication_slot() or DROP PUBLICATION; a slot keeps the log of its server.',
  },
  'administrator-unsuitable': {
    level: 'error',
    message: 'The administrator cannot do the work: {detail}',
    remedy: 'Give it the rights that the message names.',
  },
  'clock-offset': {
    level: 'warning',
    message: 'The clock of {subject} differs by {detail} ms',
    remedy: 'Synchronise the clocks; tokens live for a minute by the clock of the server.',
  },
  'group-role-unsafe': {
    level: 'error',
    message: 'Role {subject} has {detail}',
    remedy:
      'Take it away with ALTER ROLE: nobody logs in as this role, and nothing may set it above policies.',
  },
  'group-role-member': {
    level: 'warning',
    message: '{subject} is a member of {detail}, and so past every wall',
    remedy: 'REVOKE the membership, unless it is the administrator of another installation.',
  },
  'login-missing': {
    level: 'error',
    message: 'The login role {subject} does not exist',
    remedy: 'Run tenancy.migrate(), or restore the roles of the server.',
  },
  'login-unsafe': {
    level: 'error',
    message: 'The login role {subject} has {detail}',
    remedy: 'Take it away with ALTER ROLE. Connections refuse such a role anyway.',
  },
  'login-member': {
    level: 'error',
    message: 'The login role {subject} is a member of {detail}',
    remedy: 'REVOKE the membership.',
  },
  'login-owns': {
    level: 'error',
    message: 'The login role {subject} owns {detail}',
    remedy: 'Give it to quickscale_owner, or drop it.',
  },
  'login-may-create': {
    level: 'error',
    message: 'The login role may {detail} in {subject}',
    remedy: 'REVOKE the right, from PUBLIC too.',
  },
  'database-open': {
    level: 'error',
    message: '{detail} may connect to {subject}',
    remedy: 'REVOKE CONNECT: only the login role of a database may.',
  },
  'seal-open': {
    level: 'error',
    message: 'The login role has a right on the {detail} quickscale.{subject}',
    remedy: 'REVOKE it at once, and rotate the keys of this database.',
  },
  'seal-owner': {
    level: 'error',
    message: '{subject} belongs to {detail} and not to quickscale_seal',
    remedy: 'Change its owner back.',
  },
  'functions-open': {
    level: 'warning',
    message: '{subject} may call {detail}',
    remedy:
      'Let a superuser run tenancy.migrate(), or know what is left: docs/internals/isolation.md, Known leaks.',
  },
  'language-open': {
    level: 'warning',
    message: '{subject} may run anonymous {detail} code',
    remedy: 'Let a superuser run tenancy.migrate(); the library refuses DO itself.',
  },
  'operators-leaky': {
    level: 'note',
    message:
      'Indexes in {subject} are not used for operators that are safe but not marked LEAKPROOF: {detail}',
    remedy:
      'Let a superuser run the ALTER FUNCTION statements of sql/tenant-database/0008_leakproof.sql: docs/internals/leakproof.md.',
  },
  'table-right': {
    level: 'error',
    message: 'The login role has on {subject}: {detail}',
    remedy: 'REVOKE it: none of these rights asks a policy.',
  },
  'token-key-missing': {
    level: 'error',
    message: 'Token key {subject} is not the one derived from the master key',
    remedy: 'Check the master key; tenancy.migrate() installs the key again.',
  },
  'context-key-missing': {
    level: 'error',
    message: 'Database {subject} has no context key: no tenant can be entered',
    remedy: 'Run tenancy.migrate().',
  },
  'gate-stale': {
    level: 'error',
    message: 'Gate {subject} is {detail}',
    remedy: 'Update the row of the tenant in quickscale.placement: its trigger makes the gate anew.',
  },
  'parameters-logged': {
    level: 'warning',
    message: 'The server logs parameters of {subject}, and tokens are parameters',
    remedy: 'ALTER ROLE … SET log_parameter_max_length = 0, as a superuser.',
  },
  'collation-changed': {
    level: 'warning',
    message: 'Collations of {subject} have changed: {detail}; indexes on text may be wrong',
    remedy: 'REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.',
  },
  'objects-outdated': {
    level: 'error',
    message: 'The objects in {subject} are of version {detail}',
    remedy: 'Run tenancy.migrate().',
  },
  'database-unreachable': {
    level: 'error',
    message: 'Database {subject} cannot be examined: {detail}',
    remedy: 'Check the server, and that the database exists.',
  },
  'brought-unreachable': {
    level: 'error',
    message: 'The database that tenant {subject} has brought cannot be examined: {detail}',
    remedy: 'Ask the customer; tenancy.tenants.reconnect() takes another URL or password.',
  },
  'brought-shared': {
    level: 'note',
    message: '{detail} may connect to {subject}, which a customer has brought',
    remedy: 'It is the customer’s to decide; what such a role may read is up to its rights.',
  },
  'layout-faulty': {
    level: 'error',
    message: '{subject}: {detail}',
    remedy: 'Undo what was changed past the migrations; nothing here is repaired silently.',
  },
  'fence-missing': {
    level: 'error',
    message: 'Tenant {subject} is placed in {detail}, where no fence knows it',
    remedy: 'Find out whether the database was restored from a backup; the tenant cannot be entered.',
  },
  'fence-differs': {
    level: 'error',
    message: 'Tenant {subject}: {detail}',
    remedy: 'Find out whether the database was restored from a backup, or an operation was interrupted.',
  },
  'tenant-unsettled': {
    level: 'warning',
    message: 'Tenant {subject} is to be {detail}, and its place has not followed',
    remedy: 'Look again; if nobody is at work on it, tenancy.tenants.sweep() goes on.',
  },
  'members-stuck': {
    level: 'warning',
    message: 'Changes of members of tenant {subject} do not arrive in its place: {detail}',
    remedy: 'Mend what the code names; tenancy.members.deliver() tries again.',
  },
  'move-between': {
    level: 'error',
    message: 'Tenant {subject} has left its place, and the next one is not open: {detail}',
    remedy:
      'quickscale move resume brings it on at once; when the server of its next place is gone for good, quickscale move abandon.',
  },
  'move-left': {
    level: 'warning',
    message: 'The move of tenant {subject} does not go on by itself: {detail}',
    remedy:
      'Mend what the failure names, then quickscale move resume. quickscale move cancel takes one back before the switch; when places differed, quickscale move finish --accept-differences; quickscale move abandon ends one whose server is gone.',
  },
  'fence-unknown': {
    level: 'error',
    message: '{detail} has a fence for {subject}, which the catalog places elsewhere or nowhere',
    remedy: 'Find out what this place is before it is taken away.',
  },
} as const satisfies Record<string, CheckDefinition>

/** What the doctor can find. */
export type Check = keyof typeof checks

/** Something that is not as it should be. */
export interface Finding {
  readonly check: Check
  readonly level: FindingLevel
  /** Where it was found: a server, or a database. */
  readonly where: string
  /** The role, object or tenant it is about. */
  readonly subject: string
  readonly message: string
  readonly remedy: string
}

/** What SQL or a comparison has found, before it is put into words. */
export interface Fact {
  readonly check: string
  readonly subject: string
  readonly detail: string
}

export function toFinding(where: string, { check, subject, detail }: Fact): Finding {
  if (!isCheck(check)) throw new RangeError(`no check is called ${check}`)
  const { level, message, remedy } = checks[check]
  const words: Readonly<Record<string, string>> = { subject, detail }
  const filled = message.replace(/\{(\w+)\}/g, (_, field: string) => words[field] ?? '')
  return { check, level, where, subject, message: filled, remedy }
}

function isCheck(name: string): name is Check {
  return Object.hasOwn(checks, name)
}
