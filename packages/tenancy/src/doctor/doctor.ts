import type pg from 'pg'
import type { DatabaseRecord } from '../catalog/places.ts'
import { listDatabases, listPlacedTenants } from '../catalog/survey.ts'
import { QuickScaleError } from '../errors.ts'
import { limits } from '../limits.ts'
import { inEachBrought } from '../placements/brought-failures.ts'
import { tenantOfBrought } from '../server-config.ts'
import type { Workshop } from '../strategies/strategy.ts'
import { type Fact, type Finding, toFinding } from './checks.ts'
import { examineDatabase, examineLayout } from './database.ts'
import { examineDeliveries } from './deliveries.ts'
import { compareFence, findUnknownFences, readFences } from './fences.ts'
import { examineMoves } from './moves.ts'
import { examineBroughtServer, examineServer } from './server.ts'
import { findOrphanedStreams } from './streams.ts'

/** What an examination has found. */
export interface DoctorReport {
  /** No finding is an error. */
  readonly ok: boolean
  readonly databases: number
  readonly tenants: number
  readonly findings: readonly Finding[]
}

/** How an installation is examined. */
export interface DoctorOptions {
  /** Called before each database. @defaultValue nobody is told */
  readonly onProgress?: (where: string) => void
}

/**
 * Examines an installation: the server and its roles, every database's rights, keys and gates, the walls around every
 * place, whether each fence says what the catalog believes, what has not arrived in a place, and moves that do not go on, for which
 * it looks twice, two seconds apart. Reads only, changes nothing.
 *
 * @throws QuickScaleError `NOT_INSTALLED`, `SERVER_UNREACHABLE`
 */
export async function examineInstallation(
  workshop: Workshop,
  { onProgress }: DoctorOptions = {},
): Promise<DoctorReport> {
  const findings: Finding[] = []
  const note = (where: string, facts: readonly Fact[]) => {
    findings.push(...facts.map((fact) => toFinding(where, fact)))
  }
  const { servers, catalog } = workshop
  for (const { administrator } of servers.all) {
    const server = `${administrator.host}:${administrator.port}`
    onProgress?.(server)
    note(server, await examineServer(administrator))
  }
  note('catalog', await examineDeliveries(catalog.db))
  note('catalog', await examineMoves(workshop))
  let databases = 0
  let tenants = 0
  const brought: DatabaseRecord[] = []
  let after: string | null = null
  do {
    const page: DatabaseRecord[] = await listDatabases(catalog.db, after, limits.tenantsPerPageMax)
    for (const record of page) {
      if (record.brought) {
        brought.push(record)
        continue
      }
      onProgress?.(record.name)
      const examined = await examineOne(workshop, record)
      note(record.name, examined.facts)
      databases += 1
      tenants += examined.tenants
    }
    after = page.length === limits.tenantsPerPageMax ? (page.at(-1)?.id ?? null) : null
  } while (after !== null)
  for (const { where, facts, ...examined } of await examineBrought(workshop, brought, onProgress)) {
    note(where, facts)
    databases += 1
    tenants += examined.tenants
  }
  return { ok: findings.every(({ level }) => level !== 'error'), databases, tenants, findings }
}

interface Examined {
  readonly facts: readonly Fact[]
  readonly tenants: number
}

/** Last, and several at a time: their servers may be slow, or away. */
async function examineBrought(
  workshop: Workshop,
  records: readonly DatabaseRecord[],
  onProgress: DoctorOptions['onProgress'],
): Promise<(Examined & { where: string })[]> {
  const found: (Examined & { where: string })[] = []
  const whereOf = ({ host, port, name }: DatabaseRecord) => `${host}:${port}/${name}`
  const one = async (record: DatabaseRecord) => {
    const where = whereOf(record)
    onProgress?.(where)
    const examined = await workshop.servers.connected(record, async (client) => {
      const facts = [
        ...(await examineBroughtServer(client, record)),
        ...(await examineDatabase(client, workshop, record)),
      ]
      return await examineTenants(client, workshop, record, facts.map(asCustomers))
    })
    found.push({ where, ...examined })
  }
  const failures = await inEachBrought(records, ({ server }) => tenantOfBrought(server), one)
  const away = failures.map(({ tenantId, code, error }) => {
    const record = records.find(({ server }) => tenantOfBrought(server) === tenantId)
    const detail = `${error instanceof Error ? error.message : String(error)} (${code})`
    const fact = { check: 'brought-unreachable', subject: tenantId, detail }
    return { where: record === undefined ? tenantId : whereOf(record), facts: [fact], tenants: 0 }
  })
  return [...found, ...away]
}

/** Whom a customer lets into its own database is the customer's affair. */
function asCustomers(fact: Fact): Fact {
  const others = fact.check === 'database-open' && fact.detail !== 'PUBLIC'
  return others ? { ...fact, check: 'brought-shared' } : fact
}

/** One database that cannot be examined is a finding, and no reason to leave out the others. */
async function examineOne(workshop: Workshop, record: DatabaseRecord): Promise<Examined> {
  try {
    return await workshop.servers.connected(record, async (client) => {
      const facts = [
        ...(await examineDatabase(client, workshop, record)),
        ...(await findOrphanedStreams(client, workshop.catalog.db)),
      ]
      if (record.kind === 'template') {
        facts.push(
          ...(await examineLayout(client, { schema: 'app', wall: { kind: 'database', tenantId: null } })),
        )
        return { facts, tenants: 0 }
      }
      if (record.kind === 'shared') {
        facts.push(...(await examineLayout(client, { schema: 'app', wall: { kind: 'rls' } })))
      }
      if (record.kind === 'warm') return await examineWarm(client, record, facts)
      return await examineTenants(client, workshop, record, facts)
    })
  } catch (cause) {
    if (cause instanceof QuickScaleError && cause.code !== 'SERVER_UNREACHABLE') throw cause
    const detail = cause instanceof Error ? cause.message : String(cause)
    return { facts: [{ check: 'database-unreachable', subject: record.name, detail }], tenants: 0 }
  }
}

/** A whole place, for a tenant who has yet to come. */
async function examineWarm(client: pg.ClientBase, record: DatabaseRecord, facts: Fact[]): Promise<Examined> {
  const { rows } = await client.query<{ tenantId: string }>(
    'select tenant_id as "tenantId" from quickscale.placement',
  )
  for (const { tenantId } of rows) {
    facts.push(...(await examineLayout(client, { schema: 'app', wall: { kind: 'database', tenantId } })))
  }
  const expected = record.forTenant === null ? [] : [record.forTenant]
  facts.push(...(await findUnknownFences(client, record.name, new Set(expected))))
  return { facts, tenants: 0 }
}

async function examineTenants(
  client: pg.ClientBase,
  { catalog }: Workshop,
  record: DatabaseRecord,
  facts: Fact[],
): Promise<Examined> {
  const known = new Set<string>()
  let after: string | null = null
  do {
    const page = await listPlacedTenants(catalog.db, record.id, after, limits.tenantsPerPageMax)
    const fences = await readFences(
      client,
      page.map(({ tenantId }) => tenantId),
    )
    for (const placed of page) {
      known.add(placed.tenantId)
      facts.push(...compareFence(placed, fences.get(placed.tenantId), record.name))
      if (placed.state === 'provisioning') continue
      if (record.kind === 'silo') {
        const wall = { kind: 'database', tenantId: placed.tenantId } as const
        facts.push(...(await examineLayout(client, { schema: placed.schemaName, wall })))
      } else if (placed.schemaName !== 'app') {
        const wall = { kind: 'schema', tenantId: placed.tenantId } as const
        facts.push(...(await examineLayout(client, { schema: placed.schemaName, wall })))
      }
    }
    after = page.length === limits.tenantsPerPageMax ? (page.at(-1)?.tenantId ?? null) : null
  } while (after !== null)
  facts.push(...(await findUnknownFences(client, record.name, known)))
  return { facts, tenants: known.size }
}
