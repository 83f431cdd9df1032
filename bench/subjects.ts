import type { Strategy, Tenancy } from '@quickscale/tenancy'
import type pg from 'pg'
import type { Baseline } from './baseline.ts'
import type { BenchInstallation, BenchTenant } from './installation.ts'
import { openPeer, type PeerAnswer, type PeerName, peerNames } from './peer.ts'
import type { Query, Target } from './workload.ts'

export const ownSubjects = ['raw', 'rls', 'schema', 'database', 'sequential-guc'] as const

export type SubjectName = (typeof ownSubjects)[number] | PeerName

export function isPeer(name: SubjectName): name is PeerName {
  return peerNames.some((peer) => peer === name)
}

/** One way of reaching a tenant's rows. */
export interface Subject {
  readonly tenants: readonly BenchTenant[]
  run(query: Query, target: Target): Promise<PeerAnswer>
  /** How many rows of `message` the tenant has. */
  countMessages(tenant: BenchTenant): Promise<number>
  close?(): Promise<void>
}

export async function makeSubjects(
  installation: BenchInstallation,
  baseline: Baseline,
  peers: readonly PeerName[],
): Promise<ReadonlyMap<SubjectName, Subject>> {
  const subjects = new Map<SubjectName, Subject>([
    ['raw', rawSubject(baseline)],
    ['rls', tenancySubject(installation, 'rls')],
    ['schema', tenancySubject(installation, 'schema')],
    ['database', tenancySubject(installation, 'database')],
    ['sequential-guc', sequentialSubject(baseline)],
  ])
  for (const name of peers) subjects.set(name, await peerSubject(baseline, name))
  return subjects
}

function tenancySubject({ tenancy, tenants }: BenchInstallation, strategy: Strategy): Subject {
  return {
    tenants: tenants[strategy],
    run: (query, target) => runScoped(tenancy, query, target),
    countMessages: async ({ slug }) => {
      const { rows } = await tenancy.tenant(slug).query('select count(*)::integer as count from message')
      return rows[0]?.count
    },
  }
}

/** As a request handler does it: a handle is made for every query. */
export function runScoped(tenancy: Tenancy, query: Query, target: Target): Promise<pg.QueryResult> {
  const { name, text } = query.scoped
  return tenancy.tenant(target.tenant.slug).query({ name, text, values: query.values(target) })
}

function rawSubject({ raw, tenants }: Baseline): Subject {
  return {
    tenants,
    run: (query, target) => {
      const values = query.values(target)
      values.push(target.tenant.id)
      return raw.query({ name: query.plain.name, text: query.plain.text, values })
    },
    countMessages: async ({ id }) => {
      const text = 'select count(*)::integer as count from message where tenant_id = $1'
      return (await raw.query(text, [id])).rows[0].count
    },
  }
}

function sequentialSubject({ sequentialGuc, tenants }: Baseline): Subject {
  const inTransaction = async (tenant: BenchTenant, statement: pg.QueryConfig) => {
    const client = await sequentialGuc.connect()
    try {
      await client.query('begin')
      await client.query({
        name: 'tenant',
        text: "select set_config('app.tenant', $1, true)",
        values: [tenant.id],
      })
      const result = await client.query(statement)
      await client.query('commit')
      client.release()
      return result
    } catch (error) {
      client.release(true)
      throw error
    }
  }
  return {
    tenants,
    run: (query, target) => {
      const { name, text } = query.scoped
      return inTransaction(target.tenant, { name, text, values: query.values(target) })
    },
    countMessages: async (tenant) => {
      const result = await inTransaction(tenant, { text: 'select count(*)::integer as count from message' })
      return result.rows[0].count
    },
  }
}

async function peerSubject({ connectionOf, tenants }: Baseline, name: PeerName): Promise<Subject> {
  const peer = await openPeer(name, connectionOf(name))
  return {
    tenants,
    run: (query, target) =>
      peer.run(target.tenant.id, { text: query.scoped.text, values: query.values(target) }),
    countMessages: async ({ id }) => {
      const text = 'select count(*)::integer as count from message'
      return (await peer.run(id, { text, values: [] })).rows[0].count
    },
    close: () => peer.close(),
  }
}
