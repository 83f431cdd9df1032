import { moveErrors } from './move-errors.ts'
import { serverErrors } from './server-errors.ts'

/** What a code means: HTTP status for an API built on the library, what happened, what to do about it. */
interface ErrorDefinition {
  readonly status: number
  /** `{field}` is filled from the error's details. */
  readonly message: string
  readonly remedy: string
}

/** Every error of the library; docs/reference/errors.md documents the same list, and a test compares the two. */
export const errorDefinitions = {
  CONFIG_INVALID: {
    status: 500,
    message: 'Configuration is invalid: {problem}',
    remedy: 'Correct the named key in the named file.',
  },
  ARGUMENT_INVALID: {
    status: 400,
    message: 'The argument {argument} must be {wanted}',
    remedy: 'Give it what the reference says of the call.',
  },
  IDENTIFIER_INVALID: {
    status: 400,
    message: 'Not usable as an SQL name: {name}',
    remedy: 'Use 1 to 63 bytes without a NUL character.',
  },
  TENANT_KEY_INVALID: {
    status: 400,
    message: 'Not a tenant key: {key}',
    remedy: "Use a slug (a-z, 0-9 and inner hyphens, 1 to 63 characters) or the tenant's uuid.",
  },
  TENANT_MISSING: {
    status: 400,
    message: 'No tenant is set here',
    remedy: 'Wrap the work in tenancy.run(key, fn) or use tenancy.tenant(key).',
  },
  TENANT_AMBIGUOUS: {
    status: 400,
    message: 'The request names more than one tenant: {keys}',
    remedy: 'Name the tenant once, by path or by host name.',
  },
  TENANT_NOT_FOUND: {
    status: 404,
    message: 'No tenant {key}',
    remedy: 'Check the key, or create the tenant with tenancy.tenants.create().',
  },
  TENANT_EXISTS: {
    status: 409,
    message: 'A tenant {key} exists already',
    remedy: 'Choose another slug, or use the existing tenant.',
  },
  TENANT_INVALID: {
    status: 400,
    message: 'A tenant cannot have this {field}',
    remedy:
      'Give a name of 1 to 200 characters; an id, if given, is a lower-case uuid; a cause a word of a-z, 0-9 and `-`; a reason 1 to 1000 characters; a parent is none of those below, and leaves nobody with more than 20 above.',
  },
  TENANT_PROVISIONING: {
    status: 503,
    message: 'Tenant {key} is still being made',
    remedy: 'Wait; if it was interrupted, tenancy.tenants.sweep() or create() with the same slug goes on.',
  },
  TENANT_SUSPENDED: {
    status: 403,
    message: 'Tenant {key} is suspended',
    remedy: 'Call tenancy.tenants.resume() when the reason is gone.',
  },
  TENANT_ARCHIVED: {
    status: 403,
    message: 'Tenant {key} is archived: its data is kept, nobody may enter',
    remedy: 'Call tenancy.tenants.resume() to open it again.',
  },
  TENANT_DELETED: {
    status: 410,
    message: 'Tenant {key} is being deleted, or has been',
    remedy: 'Nothing brings it back; restore a backup as a new tenant.',
  },
  ILLEGAL_TRANSITION: {
    status: 409,
    message: 'Tenant {key} cannot become {to}: it is {from}',
    remedy: 'See the states of a tenant in docs/guides/tenant-states.md.',
  },
  TENANT_HAS_CHILDREN: {
    status: 409,
    message: 'Tenant {key} has sub-accounts: {children}',
    remedy: 'Delete them first, or give them another parent with tenancy.tenants.update().',
  },
  TENANT_REMAINS: {
    status: 500,
    message: 'After the deletion of tenant {key} something of it is left: {remains}',
    remedy: 'Find out what keeps it, then repeat tenancy.tenants.delete(): it goes on.',
  },
  SLUG_RESTING: {
    status: 409,
    message: 'Slug {slug} was given up by another tenant, which still lives',
    remedy:
      'Choose another slug: a process that is cut off from the catalog may still lead requests for this one to that tenant.',
  },
  PLAN_NEEDS_MOVE: {
    status: 409,
    message: 'Tenant {key} lives under {strategy}, and plan {plan} means {wanted}',
    remedy:
      'Call tenancy.tenants.changePlan(), which moves the tenant while it works, or choose another plan.',
  },
  ...moveErrors,
  ...serverErrors,
  TENANT_MOVING: {
    status: 409,
    message: 'Tenant {key} is on the move',
    remedy:
      'Wait until tenancy.moves.get() says that it is finished, go on with a stopped one by tenancy.moves.resume(), or cancel it; then repeat the call.',
  },
  PLACEMENT_REFUSED: {
    status: 409,
    message: 'No server may take the tenant: {reasons}',
    remedy: 'Loosen the rule that excludes the server you want, raise its caps, or add a server.',
  },
  TENANT_UNREACHABLE: {
    status: 503,
    message: 'Tenant {key} kept moving or its place could not be entered: {reason}',
    remedy: "Retry; if it persists, compare the catalog's placement with the database's own.",
  },
  ACTOR_INVALID: {
    status: 400,
    message: 'Actor {field} is not usable',
    remedy: 'Use at most 128 characters without "|" or control characters.',
  },
  SEAL_REFUSED: {
    status: 500,
    message: 'The database refused the seal of a tenant token',
    remedy: 'Check that the master key is the one this installation was made with.',
  },
  MASTER_KEY_WRONG: {
    status: 500,
    message: 'The master key is not the one that installation {installation} was made with',
    remedy: 'Provide the master key the installation was made with.',
  },
  STATEMENT_REFUSED: {
    status: 400,
    message: 'Statement refused: {reason}',
    remedy:
      'Tenant connections take one SELECT, INSERT, UPDATE, DELETE or MERGE at a time; see the reference for the list.',
  },
  STATEMENT_TIMEOUT: {
    status: 504,
    message: 'No answer from the database within {milliseconds} ms; the connection was ended',
    remedy:
      'Check the network and the server; a statement that is merely slow is cancelled by the server before (57014).',
  },
  TRANSACTION_FAILED: {
    status: 500,
    message:
      'A transaction of tenant {key} was rolled back at COMMIT because one of its statements had failed',
    remedy: 'Do not catch a failed statement inside a transaction; use a savepoint around it.',
  },
  BULK_INSERT_FAILED: {
    status: 422,
    message: 'Rows {first} to {last} could not be inserted into {table}: {reason}',
    remedy: 'Nothing of the call was kept; correct the rows, counted from 0, and insert all of them again.',
  },
  BULK_ROW_INVALID: {
    status: 400,
    message: 'Row {index} cannot be inserted: {reason}',
    remedy: 'Give one array per row, with one value per column.',
  },
  READER_IDLE: {
    status: 408,
    message: 'Nothing was read for {milliseconds} ms; the connection was taken back',
    remedy: 'Read faster, leave the loop when done, or raise idleMs.',
  },
  CONNECTION_TIMEOUT: {
    status: 503,
    message: 'No database connection became free within {milliseconds} ms',
    remedy:
      'Do not hold a connection while asking for a second one; raise connections.perDatabase or connections.perSilo, or shorten transactions.',
  },
  CONNECTION_QUEUE_FULL: {
    status: 503,
    message: '{waiting} units of work of the tenant wait for a database connection already',
    remedy: 'Ask for less at the same time; raise connections.waitingPerTenant, or shorten transactions.',
  },
  CONNECTION_RELEASED: {
    status: 500,
    message: 'The connection was used after it was released',
    remedy: 'Await every query before the transaction function returns or release() is called.',
  },
  MEMBER_INVALID: {
    status: 400,
    message: 'A member cannot have this {field}',
    remedy:
      'Give a lower-case uuid, a name of 1 to 200 characters, a role of 1 to 64 and, if any, an e-mail address of 3 to 254.',
  },
  MEMBER_NOT_FOUND: {
    status: 404,
    message: 'User {user} is no member',
    remedy: 'Check the id, or add the member with tenancy.members.put().',
  },
  ACCOUNT_UNKNOWN: {
    status: 404,
    message: 'No account has confirmed the address {email}',
    remedy: 'Check the address; its user signs up and confirms it first.',
  },
  MEMBER_ANONYMISED: {
    status: 409,
    message: 'User {user} has been forgotten in this tenant',
    remedy: 'Give the person a new user id: what is forgotten does not come back.',
  },
  ADMIN_UNEXPLAINED: {
    status: 400,
    message: 'Unscoped access needs a usable {field}',
    remedy: 'Say who does it (1 to 200 characters) and why (1 to 1000 characters); both are audited.',
  },
  ROLE_UNSAFE: {
    status: 500,
    message: 'Role {role} must not be used for tenant queries: {reason}',
    remedy: 'Use the login role the library creates: no superuser, no BYPASSRLS, no ownership.',
  },
  SERVER_UNSUITABLE: {
    status: 500,
    message: 'The PostgreSQL server cannot be used: {reason}',
    remedy:
      'Use PostgreSQL 15 or later and an administrator with CREATEDB, CREATEROLE and BYPASSRLS (on 15 a superuser).',
  },
  SERVER_UNREACHABLE: {
    status: 503,
    message: 'The PostgreSQL server {server} cannot be reached: {reason}',
    remedy: 'Check that it runs, and its URL.',
  },
  SERVER_UNKNOWN: {
    status: 500,
    message: 'There is no server {server} in the configuration',
    remedy: 'Use one of the servers in the configuration: {known}; one that tenants live on must stay there.',
  },
  DATABASE_URL_INVALID: {
    status: 400,
    message: 'The URL of a database to be brought cannot be used: {reason}',
    remedy: 'Give postgres://user:password@host:port/database, with no parameter but sslmode.',
  },
  DATABASE_INSECURE: {
    status: 422,
    message: 'The connection to {server} is not encrypted',
    remedy:
      'Let the server speak TLS and add sslmode=verify-full to the URL; broughtDatabases.requireTls: false accepts it as it is.',
  },
  DATABASE_RIGHTS_MISSING: {
    status: 422,
    message: 'The role in the URL of the brought database cannot do the work: {reason}',
    remedy: 'Let its administrator give the role what the message names: docs/guides/brought-databases.md.',
  },
  DATABASE_UNSUITABLE: {
    status: 422,
    message: 'The brought database cannot be used: {reason}',
    remedy: 'Make another one as docs/guides/brought-databases.md says.',
  },
  DATABASE_NOT_EMPTY: {
    status: 409,
    message: 'The brought database is not empty: {objects}',
    remedy: 'Bring an empty database; what the customer has goes beside the tables later.',
  },
  DATABASE_TAKEN: {
    status: 409,
    message: 'The database cannot be brought: {reason}',
    remedy: 'Bring a database of its own, on a server of the customer.',
  },
  DATABASE_ENTANGLED: {
    status: 409,
    message:
      'In the database of tenant {key} objects of the customer depend on what is to be taken away: {objects}',
    remedy: 'Let the customer drop or change them, then repeat tenancy.tenants.delete().',
  },
  DRIVER_UNSUITABLE: {
    status: 500,
    message: 'The installed pg driver is not supported: {reason}',
    remedy: 'Install pg >=8.11 <9.',
  },
  PLAN_UNKNOWN: {
    status: 400,
    message: 'Plan {plan} does not exist',
    remedy:
      'Use one of the plans in the configuration: {known}. One that is new there needs tenancy.migrate().',
  },
  NOT_INSTALLED: {
    status: 500,
    message: 'Installation {installation} does not exist on this server, or is older than this library',
    remedy: 'Run tenancy.migrate() with the administrator URL.',
  },
  CATALOG_UNREACHABLE: {
    status: 503,
    message: 'The catalog cannot be reached: {reason}',
    remedy:
      'Bring its server back. Tenants that this process knows keep working; others, and changes, have to wait.',
  },
  LOCK_LOST: {
    status: 503,
    message: 'The lock "{lock}" was lost with its connection; another process may have gone on',
    remedy: 'Repeat the call: it goes on where it was interrupted.',
  },
  TENANCY_CLOSED: {
    status: 503,
    message: 'The tenancy has been closed',
    remedy: 'Close it only after the last request has been answered.',
  },
  MIGRATION_FAILED: {
    status: 500,
    message: 'Migration {migration} failed in {place}: {reason}',
    remedy: 'Correct the migration; nothing of it was kept in that place.',
  },
  MIGRATION_CHANGED: {
    status: 500,
    message: 'Migration {migration} was edited after it had been applied in {place}',
    remedy: 'Restore the file and put the change into a new migration.',
  },
  LAYOUT_REFUSED: {
    status: 422,
    message: 'The schema cannot be made tenant-safe: {summary}',
    remedy: 'Follow the remedy of each refused object.',
  },
  COMMAND_INVALID: {
    status: 400,
    message: 'The command line cannot be used: {reason}',
    remedy: 'See --help of the command.',
  },
  SCRIPT_UNUSABLE: {
    status: 422,
    message: 'Line {line} of the script: {reason}',
    remedy: 'Correct the script, or dump the database again with pg_dump in its plain format.',
  },
  ISOLATION_BREACHED: {
    status: 500,
    message: 'One tenant reached another: {summary}',
    remedy: 'Compare the tables with what the layout makes of them: tenancy.doctor() names what was changed.',
  },
  ISOLATION_UNTESTED: {
    status: 422,
    message: 'Nothing would be proved in table {table}: {reason}',
    remedy: 'Fill every table of both tenants with rows of the same ids; see createTwins().',
  },
  CREDENTIAL_UNREADABLE: {
    status: 500,
    message: 'A stored credential cannot be decrypted: {reason}',
    remedy: 'Provide the master key it was encrypted with.',
  },
  EMBEDDED_SERVER_FAILED: {
    status: 500,
    message: 'The embedded PostgreSQL server did not start: {reason}',
    remedy: 'Read the log it names, or set QUICKSCALE_DATABASE_URL to a server of your own.',
  },
} as const satisfies Record<string, ErrorDefinition>

/** Every code a {@link QuickScaleError} can carry. */
export type ErrorCode = keyof typeof errorDefinitions

/** Facts about one occurrence; never a secret, never another tenant's data. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/**
 * The only error type the library throws on its own account. Errors of PostgreSQL about the caller's own SQL pass
 * through unchanged, as the driver's `DatabaseError`.
 *
 * @example
 * try {
 *   await tenancy.tenant('nobody').query('select 1')
 * } catch (error) {
 *   if (error instanceof QuickScaleError && error.code === 'TENANT_NOT_FOUND') console.log(error.remedy)
 * }
 */
export class QuickScaleError extends Error {
  override readonly name = 'QuickScaleError'
  readonly code: ErrorCode
  /** HTTP status that fits the error. */
  readonly status: number
  readonly remedy: string
  readonly details: ErrorDetails

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    const definition: ErrorDefinition = errorDefinitions[code]
    super(`${fill(definition.message, details)} [${code}]`, options)
    this.code = code
    this.status = definition.status
    this.remedy = fill(definition.remedy, details)
    this.details = details
  }
}

function fill(template: string, details: ErrorDetails): string {
  return template.replace(/\{(\w+)\}/g, (_, field: string) => String(details[field] ?? 'unknown'))
}
