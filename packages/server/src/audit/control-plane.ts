import type { Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { AuditEntry } from './entry.ts'

interface PlatformTables {
  audit_log: Omit<AuditEntry, 'actor' | 'credential'> & {
    actor: string | null
    credential: string | null
    tenant_id: string | null
  }
}

/** What a route outside of tenants adds to its entry. */
export interface Addition {
  /** Who it turned out to be: somebody who has signed in. */
  readonly actor?: string
  readonly entity?: string
  readonly tenantId?: string
}

/** The log of what happens outside of tenants. */
export type PlatformLog = (entry: AuditEntry, addition: Addition) => Promise<void>

export function createPlatformLog({ controlPlane }: Tenancy<TenantTables>): PlatformLog {
  const db = controlPlane.kysely<PlatformTables>('platform')
  return async ({ actor, credential, ...entry }, addition) => {
    await db
      .insertInto('audit_log')
      .values({
        ...entry,
        actor: addition.actor ?? (credential === 'none' ? null : actor),
        credential: credential === 'none' ? null : credential,
        entity: addition.entity ?? entry.entity,
        tenant_id: addition.tenantId ?? null,
      })
      .execute()
  }
}
