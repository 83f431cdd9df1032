import { randomBytes } from 'node:crypto'
import { Resolver } from 'node:dns/promises'
import { type Kysely, sql } from 'kysely'
import pg from 'pg'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'
import { Memory } from '../../memory.ts'
import type { TeamsTables } from './tables.ts'

type Db = Kysely<TeamsTables>

const TOKEN_BYTES = 24
const columns = ['host', 'token', 'created_at', 'verified_at'] as const
const recordOf = (host: string): string => `_quickscale.${host}`

/** A host name as the API shows it: with the TXT record that proves whose it is. */
function describe({
  host,
  token,
  ...rest
}: Pick<TeamsTables['domain'], 'host' | 'token'> & { created_at: Date; verified_at: Date | null }) {
  return { host, record: recordOf(host), value: `quickscale=${token}`, ...rest }
}

export async function listDomains(db: Db, tenantId: string) {
  const query = db.selectFrom('domain').select(columns).where('tenant_id', '=', tenantId).orderBy('host')
  return (await query.execute()).map(describe)
}

/**
 * Claims a host name; claiming it again changes nothing.
 *
 * @param beforeAdding asked for one that is new
 * @throws ProblemError `TOO_MANY_DOMAINS`
 */
export async function claimDomain(
  db: Db,
  tenantId: string,
  host: string,
  beforeAdding: (tenantId: string) => Promise<void>,
) {
  const known = await listDomains(db, tenantId)
  const own = known.find((each) => each.host === host)
  if (own !== undefined) return own
  if (known.length >= limits.domainsMax) {
    throw new ProblemError(
      409,
      'TOO_MANY_DOMAINS',
      `An organization has at most ${limits.domainsMax} host names`,
    )
  }
  await beforeAdding(tenantId)
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const made = await db
    .insertInto('domain')
    .values({ tenant_id: tenantId, host, token })
    .onConflict((conflict) => conflict.columns(['tenant_id', 'host']).doUpdateSet({ host }))
    .returning(columns)
    .executeTakeFirstOrThrow()
  return describe(made)
}

/**
 * Looks for the token in the DNS. Whoever shows it last has the name: it may have been sold.
 *
 * @throws ProblemError `NOT_FOUND`, `DOMAIN_UNVERIFIED`
 */
export async function verifyDomain(db: Db, resolver: Resolver, tenantId: string, host: string) {
  const claim = (await listDomains(db, tenantId)).find((each) => each.host === host)
  if (claim === undefined) throw new ProblemError(404, 'NOT_FOUND', 'No such host name')
  if (!(await readRecords(resolver, claim.record)).includes(claim.value)) {
    throw new ProblemError(
      422,
      'DOMAIN_UNVERIFIED',
      `The DNS has no TXT record ${claim.record} with the value`,
    )
  }
  return await db.transaction().execute(async (transaction) => {
    const others = transaction.updateTable('domain').set({ verified_at: null })
    await others.where('host', '=', host).where('tenant_id', '<>', tenantId).execute()
    const verified = await transaction
      .updateTable('domain')
      .set({ verified_at: sql<Date>`now()` })
      .where('host', '=', host)
      .where('tenant_id', '=', tenantId)
      .returning(columns)
      .executeTakeFirstOrThrow()
      .catch(explainRace)
    return describe(verified)
  })
}

/** @returns whether there was such a claim */
export async function dropDomain(db: Db, tenantId: string, host: string): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('domain')
    .where('tenant_id', '=', tenantId)
    .where('host', '=', host)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** A resolver of DNS names, bounded in time. @param servers addresses with port; the system's when there are none */
export function createResolver(servers: readonly string[]): Resolver {
  const resolver = new Resolver({ timeout: limits.dnsMs, tries: 2 })
  if (servers.length > 0) resolver.setServers(servers)
  return resolver
}

/** Which tenant has a host name, remembered for a while, as is that nobody has it. */
export function createHostDirectory(db: Db) {
  const known = new Memory<{ readonly tenantId: string | null }>({
    max: limits.hostsCached,
    ttl: limits.hostCacheMs,
  })
  const read = async (host: string) => {
    const row = await db
      .selectFrom('domain')
      .select('tenant_id')
      .where('host', '=', host)
      .where('verified_at', 'is not', null)
      .executeTakeFirst()
    return { tenantId: row?.tenant_id ?? null }
  }
  return {
    find: async (host: string) => (await known.find(host, () => read(host)))?.tenantId ?? null,
    forget: (host: string) => known.forget(host),
  }
}

async function readRecords(resolver: Resolver, name: string): Promise<string[]> {
  try {
    return (await resolver.resolveTxt(name)).map((parts) => parts.join(''))
  } catch (error) {
    // No such name, no answer: nothing is proved either way.
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('E')) return []
    throw error
  }
}

function explainRace(cause: unknown): never {
  const lost = cause instanceof pg.DatabaseError && cause.code === '23505'
  throw lost
    ? new ProblemError(409, 'CONFLICT', 'Somebody else has shown the same name at this moment')
    : cause
}
