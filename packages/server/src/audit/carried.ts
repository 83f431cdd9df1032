import type { TenantHandle } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { type Database, databaseOver } from '../http/database.ts'
import type { AuditEntry } from './entry.ts'

// A change that is one statement takes its line with it, in one round trip instead of four: the line is inserted by a second part of
// the same statement, from the row that the first one returns. Without such a row nothing was changed, and there is no line.

/** The tenant's tables for a request that writes with one statement, an INSERT or UPDATE that returns the `id`. */
export interface Carrying {
  readonly db: Database
  readonly carried: boolean
}

export function carryEntry(tenant: Pick<TenantHandle<TenantTables>, 'query'>, entry: AuditEntry): Carrying {
  let carried = false
  const query = async (text: string, values: readonly unknown[]) => {
    if (text.startsWith('select ')) return await tenant.query(text, [...values])
    if (carried || !/^(insert into|update) /.test(text)) {
      throw new Error(`${entry.action} is declared as one statement, and is not`)
    }
    carried = true
    const statement = withLine(text, values, entry)
    return await tenant.query(statement.text, statement.values)
  }
  return {
    db: databaseOver(async () => ({ query })),
    get carried() {
      return carried
    },
  }
}

function withLine(text: string, values: readonly unknown[], entry: AuditEntry) {
  const { actor, credential, impersonator, action, entity, request_id, outcome } = entry
  const n = values.length
  return {
    text: `with change as (${text}), line as (
      insert into audit_log (actor, credential, impersonator, action, entity, request_id, outcome)
      select $${n + 1}, $${n + 2}, $${n + 3}, $${n + 4}, coalesce($${n + 5}, change.id::text), $${n + 6}::uuid, $${n + 7}
        from change) select * from change`,
    values: [...values, actor, credential, impersonator, action, entity, request_id, outcome],
  }
}
