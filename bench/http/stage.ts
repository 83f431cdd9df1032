import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { defineApplication } from '../../packages/server/src/application.ts'
import { type AuthTables, createKey } from '../../packages/server/src/modules/auth/index.ts'
import { asAdministrator, type BenchInstallation, connectionsPerPool, install } from '../installation.ts'
import { forEachConcurrently } from '../measure.ts'
import type { HttpServerOrder, HttpServerPorts } from './server-process.ts'

/** The application with and without the tenancy, in a process of its own, filled and ready. */
export interface HttpStage {
  readonly ports: HttpServerPorts
  readonly installation: BenchInstallation
  /** Headers of a member of every tenant. */
  readonly headers: Readonly<Record<string, string>>
  /** The same of another one. */
  readonly noisyHeaders: Readonly<Record<string, string>>
  /** The same company is in every tenant. */
  readonly companyId: string
  close(): Promise<void>
}

export interface HttpStageOptions {
  readonly tenants: { readonly rls: number; readonly schema: number; readonly database: number }
  readonly contactsPerTenant: number
  onProgress(done: number, total: number): void
}

const companyId = '00000000-0000-4000-8000-000000000001'

/** @param url administrator's URL of the server */
export async function setHttpStage(url: string, options: HttpStageOptions): Promise<HttpStage> {
  const application = defineApplication()
  const installation = await install(url, options.tenants, options.onProgress, {}, application.migrations)
  let child: ChildProcess | undefined
  const close = async () => {
    if (child !== undefined && child.exitCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await installation.drop()
  }
  try {
    await application.migrate(installation.tenancy)
    const slugs = Object.values(installation.tenants).flatMap((tenants) => tenants.map(({ slug }) => slug))
    const [headers, noisyHeaders] = [
      await makeMember(installation, slugs, 'ann'),
      await makeMember(installation, slugs, 'ben'),
    ]
    await forEachConcurrently(slugs, connectionsPerPool, async (slug) => {
      for (const [text, ...values] of fill(options))
        await installation.tenancy.tenant(slug).query(text, values)
    })
    const plainUrl = await makePlain(url, installation.name, application.migrations, options)
    await installation.vacuum()
    child = fork(join(import.meta.dirname, 'server-process.ts'))
    const order: HttpServerOrder = { config: installation.config, plainUrl }
    child.send(order)
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code}`)
    })
    const [ports] = (await Promise.race([once(child, 'message'), ended])) as [HttpServerPorts]
    ended.catch(() => undefined)
    return { ports, installation, headers, noisyHeaders, companyId, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function makeMember(
  { tenancy }: BenchInstallation,
  slugs: readonly string[],
  name: string,
): Promise<{ readonly authorization: string }> {
  const db = tenancy.controlPlane.kysely<AuthTables>('auth')
  const user = { id: randomUUID(), name, email: `${name}@bench.example` }
  await db
    .insertInto('user')
    .values({ ...user, email_verified: true })
    .execute()
  for (const slug of slugs) {
    await tenancy.members.put(slug, { userId: user.id, name: user.name, email: user.email, role: 'owner' })
  }
  const { key } = await createKey(db, { userId: user.id }, { name: 'bench' })
  return { authorization: `Bearer ${key}` }
}

function fill({ contactsPerTenant }: HttpStageOptions): readonly [text: string, ...values: unknown[]][] {
  return [
    [`insert into companies (id, name) values ($1, 'Acme')`, companyId],
    [
      `insert into contacts (first_name, last_name, email, company_id, created_at)
       select 'First ' || n, 'Last ' || n, 'person-' || n || '@bench.example', $1, now() - n * interval '1 minute'
         from generate_series(1, $2::int) as n`,
      companyId,
      contactsPerTenant,
    ],
  ]
}

/** A database with the same migrations as their author wrote them, and the rows of one tenant. */
async function makePlain(
  url: string,
  installation: string,
  directories: readonly string[],
  options: HttpStageOptions,
): Promise<string> {
  const name = `${installation}_plain`
  await asAdministrator(url, (client) => client.query(`create database ${client.escapeIdentifier(name)}`))
  const plain = new URL(url)
  plain.pathname = `/${name}`
  await asAdministrator(plain.href, async (client: pg.Client) => {
    for (const directory of directories) {
      for (const file of (await readdir(directory)).sort()) {
        await client.query(await readFile(join(directory, file), 'utf8'))
      }
    }
    for (const [text, ...values] of fill(options)) await client.query(text, values)
    await client.query('vacuum (analyze)')
  })
  return plain.href
}
