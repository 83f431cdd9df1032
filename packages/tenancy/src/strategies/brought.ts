/**
 * What is done in a database that a customer has brought, instead of making one and dropping it.
 *
 * A schema of its own says whose the database is. It comes first, in one transaction with the proof that nothing else
 * was there, and goes last: two who want the same database, and whoever is killed in between, find it. What was taken from
 * PUBLIC is noted in it, and given back at the end.
 */
import { readFileSync } from 'node:fs'
import type pg from 'pg'
import { taken } from '../catalog/brought-databases.ts'
import type { DatabaseRecord } from '../catalog/places.ts'
import { QuickScaleError } from '../errors.ts'
import { quoteIdentifier, quoteLiteral } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { EXTENSIONS_SCHEMA } from '../layout/reviewed-extensions.ts'
import { limits } from '../limits.ts'
import { tenantOfBrought } from '../server-config.ts'
import { groupRoles, makeGroupRoles } from './administrator.ts'
import type { Holding, Workshop } from './strategy.ts'

const beside = readFileSync(new URL('../../sql/brought/beside.sql', import.meta.url), 'utf8')
const release = readFileSync(new URL('../../sql/brought/release.sql', import.meta.url), 'utf8')

const claimSchema = 'quickscale_brought'
/** In the order in which they are taken away. */
const ownSchemas = ['app', 'quickscale', EXTENSIONS_SCHEMA, claimSchema]

/** Whose a brought database is, as it says itself. */
export interface Claim {
  readonly installation: string
  readonly tenant: string
  /** What PUBLIC could do before. */
  readonly grants: readonly string[]
}

/** The claim on a database; null where there is none. */
export async function readClaim(client: pg.ClientBase): Promise<Claim | null> {
  const { rows } = await client.query<{ claim: string | null }>(
    "select obj_description(to_regnamespace($1), 'pg_namespace') as claim where to_regnamespace($1) is not null",
    [claimSchema],
  )
  if (rows[0] === undefined) return null
  const claim: Partial<Claim> | null = parseClaim(rows[0].claim)
  const { installation, tenant, grants } = claim ?? {}
  if (typeof installation !== 'string' || typeof tenant !== 'string' || !Array.isArray(grants)) {
    throw taken('it says in a way that cannot be read whose it is')
  }
  return { installation, tenant, grants }
}

function parseClaim(text: string | null): Partial<Claim> | null {
  try {
    return JSON.parse(text ?? 'null')
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

/**
 * Refuses a database that is anybody's, or holds anything.
 *
 * @param owner whose claim is no reason to refuse
 * @throws QuickScaleError `DATABASE_TAKEN`, `DATABASE_NOT_EMPTY`
 */
export async function assertVacant(
  client: pg.ClientBase,
  owner: Pick<Claim, 'installation' | 'tenant'> | null,
): Promise<Claim | null> {
  const claim = await readClaim(client)
  if (claim !== null) {
    if (claim.installation === owner?.installation && claim.tenant === owner.tenant) return claim
    const whose = claim.installation === owner?.installation ? 'another tenant' : 'another installation'
    throw taken(`it belongs to ${whose}`)
  }
  const { rows } = await client.query("select from pg_namespace where nspname = 'quickscale'")
  if (rows.length > 0) throw taken('it belongs to another installation')
  const objects = (await listBeside(client, [])).filter((name) => !name.startsWith('extension '))
  if (objects.length > 0) throw new QuickScaleError('DATABASE_NOT_EMPTY', { objects: summarize(objects) })
  return null
}

/**
 * Makes a brought database the tenant's: its claim, the group roles of its server; nobody else may connect from then on.
 * Repeatable.
 *
 * @throws QuickScaleError `DATABASE_TAKEN`, `DATABASE_NOT_EMPTY`
 */
export async function occupyDatabase(workshop: Workshop, record: DatabaseRecord): Promise<void> {
  const owner = { installation: workshop.installation, tenant: tenantOfBrought(record.server) }
  await workshop.servers.connected(record, async (client) => {
    await makeGroupRoles(client)
    await inTransaction(client, async () => {
      await client.query("select pg_advisory_xact_lock(hashtextextended('quickscale brought', 0))")
      if ((await assertVacant(client, owner)) === null) {
        const claim: Claim = { ...owner, grants: await listPublicGrants(client, record.name) }
        const schema = quoteIdentifier(claimSchema)
        await client.query(
          `create schema ${schema}; comment on schema ${schema} is ${quoteLiteral(JSON.stringify(claim))}`,
        )
      }
      await client.query(`revoke all on database ${quoteIdentifier(record.name)} from public`)
    })
  })
}

/**
 * What sessions of a brought database's logins are set to: as on the first server, so that dates mean and print the same.
 * The customer's own settings are made for others.
 */
export async function sessionSettings(
  { servers }: Workshop,
  { brought }: Pick<DatabaseRecord, 'brought'>,
): Promise<Readonly<Record<string, string>>> {
  if (!brought) return {}
  const { rows } = await servers.onServer(servers.primary.name, (client) =>
    client.query<{ name: string; setting: string }>(
      'select name, setting from pg_settings where name = any ($1)',
      [sameEverywhere],
    ),
  )
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))
}

const sameEverywhere = [
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'bytea_output',
  'extra_float_digits',
  'xmlbinary',
]

/**
 * Takes away what was made in a brought database, and keeps the database with whatever the customer has put there.
 * Repeatable.
 *
 * @throws QuickScaleError `DATABASE_ENTANGLED` when something of the customer would go with it
 */
export async function vacateDatabase(
  workshop: Workshop,
  record: DatabaseRecord,
  roles: readonly string[],
): Promise<void> {
  await workshop.servers.connected(record, async (client) => {
    const claim = await readClaim(client)
    if (claim?.tenant === tenantOfBrought(record.server)) await dropSchemas(client, record, claim)
    await dropLogins(client, roles)
    // Whoever has claimed it instead needs them.
    if (claim === null || claim.tenant === tenantOfBrought(record.server)) await dropGroupRoles(client)
  })
}

/** What of a tenant is in its brought database and on the server of that. */
export async function inspectBrought(
  { servers }: Workshop,
  record: DatabaseRecord,
  roles: readonly string[],
): Promise<Holding[]> {
  return await servers.connected(record, async (client) => {
    const claim = await readClaim(client)
    const mine = claim?.tenant === tenantOfBrought(record.server)
    const { rows } = await client.query<Pick<Holding, 'name'> & { kind: 'schema' | 'role' }>(
      `select 'schema' as kind, nspname::text as name from pg_namespace where nspname = any ($1)
       union all select 'role', rolname::text from pg_roles where rolname = any ($2) order by 1 desc, 2`,
      [mine ? ownSchemas : [], roles],
    )
    return rows.map(({ kind, name }) => ({ kind, name, count: 1 }))
  })
}

/** Everything here that is not in the given schemas and not PostgreSQL's own. */
async function listBeside(client: pg.ClientBase, schemas: readonly string[]): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(beside, [schemas])
  return rows.map(({ name }) => name)
}

async function dropSchemas(client: pg.ClientBase, record: DatabaseRecord, claim: Claim): Promise<void> {
  await inTransaction(client, async () => {
    const before = await listBeside(client, ownSchemas)
    for (const schema of ownSchemas) {
      await client.query(`drop schema if exists ${quoteIdentifier(schema)} cascade`)
    }
    const left = new Set(await listBeside(client, ownSchemas))
    const lost = before.filter((name) => !left.has(name))
    if (lost.length > 0) {
      throw new QuickScaleError('DATABASE_ENTANGLED', {
        key: tenantOfBrought(record.server),
        objects: summarize(lost),
      })
    }
    await client.query(release)
    const database = quoteIdentifier(record.name)
    for (const grant of claim.grants) {
      const on = grant === 'USAGE' ? 'schema public' : `database ${database}`
      if (publicGrants.has(grant)) await client.query(`grant ${grant} on ${on} to public`)
    }
  })
}

const publicGrants = new Set(['CONNECT', 'TEMPORARY', 'USAGE'])

async function listPublicGrants(client: pg.ClientBase, database: string): Promise<string[]> {
  const { rows } = await client.query<{ grant: string }>(
    `select privilege as grant from unnest(array['CONNECT', 'TEMPORARY']) as privilege
      where has_database_privilege('public', $1, privilege)
     union all select 'USAGE' where has_schema_privilege('public', to_regnamespace('public')::oid, 'usage')`,
    [database],
  )
  return rows.map(({ grant }) => grant)
}

/** Their sessions are ended first: a role that is in use elsewhere would be dropped under them. */
async function dropLogins(client: pg.ClientBase, roles: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select rolname::text as name from pg_roles where rolname = any ($1)',
    [roles],
  )
  for (const { name } of rows) {
    const role = quoteIdentifier(name)
    await client.query(`alter role ${role} nologin`)
    await client.query('select pg_terminate_backend(pid, $2) from pg_stat_activity where usename = $1', [
      name,
      limits.terminationWaitMs,
    ])
    await client.query(`drop owned by ${role}; drop role ${role}`)
  }
}

/** Others on the same server use them too: those go that nobody uses any more. */
async function dropGroupRoles(client: pg.ClientBase): Promise<void> {
  await inTransaction(client, async () => {
    await client.query("select pg_advisory_xact_lock(hashtextextended('quickscale roles', 0))")
    const { rows } = await client.query<{ names: string[]; used: boolean }>(
      `with own as (select oid, rolname from pg_roles where rolname = any ($1))
       select array(select rolname::text from own) as names,
              exists (select from pg_shdepend join own on own.oid = refobjid
                       where refclassid = 'pg_authid'::regclass)
              or exists (select from pg_auth_members join pg_roles as member on member.oid = pg_auth_members.member
                          where roleid in (select oid from own) and member.oid not in (select oid from own)
                            and member.rolname <> current_user) as used`,
      [groupRoles],
    )
    const { names = [], used = true } = rows[0] ?? {}
    if (used || names.length === 0) return
    await client.query(`drop role ${names.map(quoteIdentifier).join(', ')}`)
  })
}

function summarize(objects: readonly string[]): string {
  const more = objects.length - limits.objectsNamedMax
  return [...objects.slice(0, limits.objectsNamedMax), ...(more > 0 ? [`${more} more`] : [])].join(', ')
}
