import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import { type AuthTables, createKey, findKey, KEY_PREFIX } from '../modules/auth/index.ts'

/** Owns every tenant of the demo; there is no password, so nobody can sign in as them. */
const DEMO_USER = {
  id: '00000000-0000-4000-8000-00000000de30',
  name: 'Demo User',
  email: 'demo@quickscale.example',
  email_verified: true,
} as const

/**
 * Lets whoever can read a file of this user's into the demo: makes the demo's user owner of its tenants, and an API key,
 * which the file has as a header for curl.
 *
 * @returns absolute path of the file
 */
export async function openDemo(
  tenancy: Tenancy<TenantTables>,
  slugs: readonly string[],
  directory: string,
): Promise<string> {
  const db = tenancy.controlPlane.kysely<AuthTables>('auth')
  const { id: userId, name, email } = DEMO_USER
  await db
    .insertInto('user')
    .values(DEMO_USER)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  for (const slug of slugs) {
    const [standing] = await tenancy.members.lineage(slug, userId)
    if (standing?.role !== 'owner') await tenancy.members.put(slug, { userId, name, email, role: 'owner' })
  }
  await tenancy.members.deliver()
  const file = join(directory, 'demo-key')
  const kept = await readKey(file)
  if (kept !== null && (await findKey(db, kept)) !== null) return file
  const { key } = await createKey(db, { userId }, { name: 'demo' })
  await mkdir(directory, { recursive: true })
  await writeFile(file, `Authorization: Bearer ${key}\n`, { mode: 0o600 })
  return file
}

async function readKey(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  })
  const key = text.trim().split(' ').at(-1) ?? ''
  return key.startsWith(KEY_PREFIX) ? key : null
}
