/**
 * What a customer offers as its tenant's database is looked at before anything is recorded or changed: first the URL
 * itself, then, over one connection, what it leads to.
 */
import { readFileSync } from 'node:fs'
import { parseSync } from 'libpg-query'
import type pg from 'pg'
import { isBrought, listServersOfSystem, taken } from '../catalog/brought-databases.ts'
import { QuickScaleError } from '../errors.ts'
import type { MigrationFile } from '../migrations/files.ts'
import {
  createAdministrator,
  findUnsuitability,
  readServerFacts,
  type ServerFacts,
} from '../strategies/administrator.ts'
import { assertVacant } from '../strategies/brought.ts'
import type { Workshop } from '../strategies/strategy.ts'

const questions = readFileSync(new URL('../../sql/brought/facts.sql', import.meta.url), 'utf8')
const versionMin = 15

/** A database that has been found fit to be a tenant's. */
export interface Offer {
  readonly url: string
  readonly host: string
  readonly port: number
  readonly databaseName: string
  /** System and oid: the same database, whatever the URL calls it. */
  readonly identity: string
}

/** What {@link questions} answers. */
export interface OfferFacts {
  readonly database: string
  readonly system: string
  readonly oid: string
  readonly startedAt: string
  readonly encoding: string
  readonly maintenance: boolean
  readonly recovering: boolean
  readonly readOnly: boolean
  readonly triggersOff: boolean
  readonly encrypted: boolean
  readonly ownsDatabase: boolean
  readonly mayCreate: boolean
  readonly extensionsMissing: readonly string[]
}

/**
 * @param tenantId whose claim on the database is no reason to refuse; null for a tenant that has none yet
 * @throws QuickScaleError `DATABASE_URL_INVALID`, `SERVER_UNREACHABLE`, `DATABASE_UNSUITABLE`, `DATABASE_INSECURE`,
 *   `DATABASE_RIGHTS_MISSING`, `DATABASE_TAKEN`, `DATABASE_NOT_EMPTY`
 */
export async function examineOffer(
  workshop: Workshop,
  offered: unknown,
  tenantId: string | null,
): Promise<Offer> {
  const url = parseBroughtUrl(offered)
  const administrator = createAdministrator(url)
  const { host, port, maintenanceDatabase } = administrator
  const server = `${host}:${port}`
  const extensions = wantedExtensions(await workshop.migrations())
  return await administrator.connected(maintenanceDatabase, async (client) => {
    const facts = await readFacts(client, extensions)
    judgeOffer(facts, { server, requireTls: workshop.requireTls })
    await judgeRights(client, facts)
    const identity = `${facts.system} ${facts.oid}`
    await assertElsewhere(workshop, facts, tenantId === null ? identity : null)
    const owner = tenantId === null ? null : { installation: workshop.installation, tenant: tenantId }
    await assertVacant(client, owner)
    return { url, host, port, databaseName: facts.database, identity }
  })
}

/**
 * The URL names one database by host, and nothing that would make its logins another's: the driver takes user, password,
 * host and files to read from parameters too. Never quoted in an error: it holds a password.
 *
 * @throws QuickScaleError `DATABASE_URL_INVALID`
 */
export function parseBroughtUrl(offered: unknown): string {
  const refuse = (reason: string) => new QuickScaleError('DATABASE_URL_INVALID', { reason })
  if (typeof offered !== 'string' || !URL.canParse(offered)) throw refuse('it is none')
  const url = new URL(offered)
  if (!/^postgres(ql)?:$/.test(url.protocol)) throw refuse('it does not begin with postgres://')
  if (url.hostname === '' || url.hostname.includes('%')) throw refuse('it names no host')
  if (url.username === '') throw refuse('it names no user')
  if (!/^\/[^/]+$/.test(url.pathname)) throw refuse('it names no database')
  if (url.hash !== '') throw refuse('it has a fragment')
  for (const [name, value] of url.searchParams) {
    if (name !== 'sslmode' || !sslModes.has(value)) throw refuse(`it has the parameter ${name.slice(0, 40)}`)
  }
  return url.href
}

const sslModes = new Set(['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'])

async function readFacts(client: pg.ClientBase, extensions: readonly string[]): Promise<OfferFacts> {
  // First: what else is asked may not exist on an old server.
  const { rows: versions } = await client.query<{ version: number }>(
    "select current_setting('server_version_num')::integer / 10000 as version",
  )
  assertVersion(versions[0]?.version ?? 0)
  const { rows } = await client.query<OfferFacts>(questions, [extensions])
  if (rows[0] === undefined) throw unsuitable('it says nothing about itself')
  return rows[0]
}

/** @throws QuickScaleError `DATABASE_UNSUITABLE` */
export function assertVersion(version: number): void {
  if (version < versionMin) {
    throw unsuitable(`its server is of version ${version}, and ${versionMin} is the first that will do`)
  }
}

/** @throws QuickScaleError `DATABASE_UNSUITABLE`, `DATABASE_INSECURE` */
export function judgeOffer(
  facts: OfferFacts,
  { server, requireTls }: { server: string; requireTls: boolean },
): void {
  if (requireTls && !facts.encrypted) throw new QuickScaleError('DATABASE_INSECURE', { server })
  const { encoding, extensionsMissing: missing } = facts
  if (facts.recovering) throw unsuitable('it is a replica')
  if (facts.readOnly) throw unsuitable('default_transaction_read_only is on')
  if (facts.triggersOff) throw unsuitable('session_replication_role keeps triggers from firing')
  if (facts.maintenance) throw unsuitable(`${facts.database} is where others are created from`)
  if (encoding !== 'UTF8') throw unsuitable(`its encoding is ${encoding} and not UTF8`)
  if (missing.length > 0) {
    throw unsuitable(
      `its server lacks extensions of the migrations, or its role may not make them: ${missing.join(', ')}`,
    )
  }
}

/** @throws QuickScaleError `DATABASE_RIGHTS_MISSING` */
async function judgeRights(client: pg.ClientBase, facts: OfferFacts): Promise<void> {
  const reason = findMissingRights(await readServerFacts(client), facts)
  if (reason !== null) throw new QuickScaleError('DATABASE_RIGHTS_MISSING', { reason })
}

/** Why a database that was brought could not be taken care of with its role any more, or null. */
export async function findOfferUnsuitability(client: pg.ClientBase): Promise<string | null> {
  const facts = await readFacts(client, [])
  return findMissingRights(await readServerFacts(client), facts)
}

/** Why the role could not do the work, or null. It makes roles, but no database. */
export function findMissingRights(
  role: ServerFacts | null,
  { ownsDatabase, mayCreate }: Pick<OfferFacts, 'ownsDatabase' | 'mayCreate'>,
): string | null {
  if (role === null) return 'it has no role'
  const lacking = role.lacking.filter((right) => right !== 'CREATEDB')
  const reason = findUnsuitability({ ...role, lacking })
  if (reason !== null) return reason
  if (!ownsDatabase) return 'it does not own the database'
  return mayCreate ? null : 'it may not CREATE in the database'
}

/**
 * @param identity of a database that no tenant may have yet
 * @throws QuickScaleError `DATABASE_TAKEN`
 */
async function assertElsewhere(
  { catalog, servers }: Workshop,
  { system, startedAt }: OfferFacts,
  identity: string | null,
): Promise<void> {
  if (identity !== null && (await isBrought(catalog.db, identity))) {
    throw taken('it is the database of a tenant already')
  }
  for (const name of await listServersOfSystem(catalog.db, system)) {
    // A copy of a data directory has the identifier of its original, but was not started in the same microsecond.
    const { rows } = await servers.onServer(name, (client) =>
      client.query<{ system: string; startedAt: string }>(
        `select system_identifier::text as system,
                extract(epoch from pg_postmaster_start_time())::text as "startedAt" from pg_control_system()`,
      ),
    )
    if (rows[0]?.system === system && rows[0].startedAt === startedAt) {
      throw taken(`it is on the server ${name} of this installation`)
    }
  }
}

/** What migrations make with CREATE EXTENSION. */
function wantedExtensions(files: readonly MigrationFile[]): string[] {
  const names = files.flatMap(({ text }) =>
    /create\s+extension/i.test(text)
      ? (parseSync(text).stmts ?? []).flatMap(({ stmt }) =>
          stmt !== undefined && 'CreateExtensionStmt' in stmt ? (stmt.CreateExtensionStmt.extname ?? []) : [],
        )
      : [],
  )
  return [...new Set(names)]
}

function unsuitable(reason: string): QuickScaleError {
  return new QuickScaleError('DATABASE_UNSUITABLE', { reason })
}
