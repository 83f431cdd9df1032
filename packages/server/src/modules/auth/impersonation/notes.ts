import { type AuditEntry, insertEntry } from '../../../audit/entry.ts'
import { noteAfter } from '../../../http/audited.ts'
import type { Services } from '../../module.ts'

/** Whom it concerns: one impersonation, or as much as is known of one that was refused. */
export interface Parties {
  /** Absent where nothing has come of it. */
  readonly id?: string
  readonly operator_id: string
  readonly user_id: string
  readonly tenant_id: string
}

export interface Happening {
  readonly action: 'impersonation.ask' | 'impersonation.begin' | 'impersonation.end'
  /** The request's; of its own where nobody has asked. */
  readonly requestId: string
  /** Why it was refused, or has ended. */
  readonly code?: string
  readonly refused?: boolean
}

function describe({ id, operator_id, user_id }: Parties, happening: Happening): AuditEntry {
  const { action, requestId, code = null, refused = false } = happening
  return {
    actor: user_id,
    credential: 'impersonation',
    impersonator: operator_id,
    action,
    entity: id ?? null,
    request_id: requestId,
    outcome: refused ? 'refused' : 'done',
    code,
  }
}

type Surroundings = Pick<Services, 'tenancy' | 'platformLog'>

/**
 * Writes down in the tenant's own log what comes of an impersonation.
 *
 * @throws QuickScaleError `TENANT_SUSPENDED` and the like: where it cannot be written down, it must not be done
 */
export async function note({ tenancy }: Surroundings, parties: Parties, happening: Happening): Promise<void> {
  await insertEntry(tenancy.tenant(parties.tenant_id).kysely, describe(parties, happening))
}

/** The same of what was not done: beside the catalog when the tenant may not be entered. */
export async function noteRefusal(
  { tenancy, platformLog }: Surroundings,
  parties: Parties,
  happening: Happening,
): Promise<void> {
  const entry = describe(parties, { ...happening, refused: true })
  await noteAfter(tenancy.tenant(parties.tenant_id), entry, platformLog)
}

/** The end, once: under the id of the impersonation, however often it is tried. */
export async function noteEnd(
  { tenancy, platformLog }: Surroundings,
  parties: Parties & { readonly id: string },
  happening: Happening,
): Promise<void> {
  await noteAfter(tenancy.tenant(parties.tenant_id), describe(parties, happening), platformLog, parties.id)
}
