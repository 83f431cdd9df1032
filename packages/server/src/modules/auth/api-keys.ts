import { createHash, randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { Caller, Role } from '../../http/access.ts'
import { ProblemError } from '../../http/problem-error.ts'
import { limits } from '../../limits.ts'
import type { AuthTables } from './tables.ts'

type Db = Kysely<AuthTables>

/** What a key begins with: found by scanners of leaked secrets, and no token of ours looks like it. */
export const KEY_PREFIX = 'qs_'
const KEY_BYTES = 32
const STARTS_SHOWN = 8

/** Whose key it is: a user's, or an organization's. */
export type KeyOwner = { readonly userId: string } | { readonly tenantId: string }

export interface NewKey {
  readonly name: string
  readonly role?: Role | undefined
  readonly expires_at?: Date | undefined
}

const columns = [
  'id',
  'name',
  'start',
  'tenant_id as organization_id',
  'role',
  'created_at',
  'expires_at',
] as const

/** 256 random bits need no slow hash. */
const digestOf = (key: string): Buffer => createHash('sha256').update(key).digest()

/** Makes a key, which is in the answer and nowhere else. @throws ProblemError `TOO_MANY_KEYS` */
export async function createKey(db: Db, owner: KeyOwner, { name, role, expires_at }: NewKey) {
  const key = KEY_PREFIX + randomBytes(KEY_BYTES).toString('base64url')
  const existing = await listKeys(db, owner)
  if (existing.length >= limits.apiKeysMax) {
    throw new ProblemError(409, 'TOO_MANY_KEYS', `There are ${limits.apiKeysMax} keys; delete one first`)
  }
  const made = await db
    .insertInto('api_key')
    .values({
      digest: digestOf(key),
      start: key.slice(0, STARTS_SHOWN),
      name,
      user_id: 'userId' in owner ? owner.userId : null,
      tenant_id: 'tenantId' in owner ? owner.tenantId : null,
      role: role ?? null,
      expires_at: expires_at ?? null,
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return { ...made, key }
}

export function listKeys(db: Db, owner: KeyOwner) {
  return ownedBy(db.selectFrom('api_key').select(columns), owner)
    .orderBy('created_at')
    .orderBy('id')
    .execute()
}

/** @returns whether there was such a key */
export async function deleteKey(db: Db, owner: KeyOwner, id: string): Promise<boolean> {
  const mine = ownedBy(db.selectFrom('api_key').select('id'), owner).where('id', '=', id)
  const { numDeletedRows } = await db.deleteFrom('api_key').where('id', 'in', mine).executeTakeFirst()
  return numDeletedRows > 0n
}

/** Whose key this is; null for one that is not known, or has expired. One query. */
export async function findKey(db: Db, key: string): Promise<Caller | null> {
  const found = await db
    .selectFrom('api_key')
    .select(['id', 'user_id', 'tenant_id', 'role', 'expires_at'])
    .where('digest', '=', digestOf(key))
    .executeTakeFirst()
  if (found === undefined || (found.expires_at !== null && found.expires_at <= new Date())) return null
  const { user_id: userId, tenant_id: tenantId, role: roleMax } = found
  if (userId === null) return { kind: 'client', id: `client:${found.id}`, userId, tenantId, roleMax }
  return { kind: 'api-key', id: userId, userId, tenantId, roleMax }
}

function ownedBy<
  Query extends { where(column: 'user_id' | 'tenant_id', operator: '=' | 'is', value: string | null): Query },
>(query: Query, owner: KeyOwner): Query {
  if ('userId' in owner) return query.where('user_id', '=', owner.userId)
  return query.where('tenant_id', '=', owner.tenantId).where('user_id', 'is', null)
}
