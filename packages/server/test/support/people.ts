import { randomUUID } from 'node:crypto'
import type { Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { type AuthTables, createKey } from '../../src/modules/auth/index.ts'

export interface TestPerson {
  readonly id: string
  readonly name: string
  readonly email: string
  /** Of their API key. */
  readonly headers: { readonly authorization: string }
}

/** A user with an API key, without the way through mail and password. */
export async function makePerson(tenancy: Tenancy<TenantTables>, name: string): Promise<TestPerson> {
  const db = tenancy.controlPlane.kysely<AuthTables>('auth')
  const person = { id: randomUUID(), name, email: `${name.toLowerCase()}@example.test` }
  await db
    .insertInto('user')
    .values({ ...person, email_verified: true })
    .execute()
  const { key } = await createKey(db, { userId: person.id }, { name: 'test' })
  return { ...person, headers: { authorization: `Bearer ${key}` } }
}

/** Makes somebody a member. */
export async function join(
  tenancy: Tenancy<TenantTables>,
  slug: string,
  { id: userId, name, email }: TestPerson,
  role: string,
): Promise<void> {
  await tenancy.members.put(slug, { userId, name, email, role })
}
