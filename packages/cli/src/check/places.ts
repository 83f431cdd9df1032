import { randomBytes, randomUUID } from 'node:crypto'
import { createTenancy, type Strategy, type Tenancy, type TenantHandle } from '@quickscale/tenancy'
import { type Adoption, adoptSchemas, type Wall } from '@quickscale/tenancy/layout'
import { limits } from '../limits.ts'
import type { Refusal } from '../report.ts'
import { type Blank, copyDatabase } from './original.ts'
import { connected, type Stage } from './stage.ts'

/** One of the two tenants in its place. */
export interface TenantPlace {
  readonly key: string
  readonly tenantId: string
  readonly handle: TenantHandle
  readonly database: string
  /** Administrator's URL of that database. */
  readonly url: string
  readonly schema: string
  readonly wall: Wall
}

/** Both tenants under one strategy. */
export interface Residence {
  readonly strategy: Strategy
  readonly tenants: readonly TenantPlace[]
  readonly adoption: Adoption
}

/** The installations of a check, and who lives in them. */
export interface Housing {
  readonly residences: readonly Residence[]
  close(): Promise<void>
}

const TENANTS = ['alpha', 'beta'] as const
const plans = { rls: 'free', schema: 'pro', database: 'enterprise' } as const

/**
 * Makes a place for two tenants under each strategy, in real installations. PostgreSQL copies databases, not schemas:
 * so the two tenants of the schema strategy live in an installation each.
 *
 * @throws QuickScaleError `LAYOUT_REFUSED` when something refused could not be left out
 */
export async function buildHousing(
  stage: Stage,
  blank: Blank,
  onProgress: (message: string) => void,
): Promise<Housing> {
  const tenancies: Tenancy[] = []
  const from = blank.schemas.map((schema) => schema.blank)
  const open = async (number: number, filled: readonly string[]) => {
    const installation = `${stage.prefix}_${number}`
    for (const name of filled) await copyDatabase(stage, `${installation}_${name}`, blank.database)
    const tenancy = await createTenancy({
      databaseUrl: stage.url,
      installation,
      masterKey: randomBytes(32).toString('base64'),
      migrations: [],
      connections: {
        perDatabase: limits.connectionsPerDatabase,
        perSilo: limits.connectionsPerDatabase,
        statementTimeoutMs: limits.statementTimeoutMs,
        waitMs: limits.connectionWaitMs,
      },
    })
    tenancies.push(tenancy)
    await tenancy.migrate()
    return { tenancy, installation }
  }
  const adopt = (database: string, schema: string, wall: Wall) =>
    connected(stage.urlOf(database), async (client) => {
      const { renamed, altered, refused } = await adoptSchemas(client, { from, schema, wall })
      return { renamed, altered, refused: refused.map((refusal) => withoutPlace(refusal, schema)) }
    })
  const close = async () => {
    await Promise.all(tenancies.map((tenancy) => tenancy.close()))
  }
  try {
    const { tenancy, installation } = await open(1, ['pool', 'template'])
    onProgress('compiling the schema for rls')
    const pooled = await adopt(`${installation}_pool`, 'app', { kind: 'rls' })
    const rls = await Promise.all(TENANTS.map((key) => settle(stage, tenancy, 'rls', `${key}-rls`)))
    onProgress('compiling the schema for database')
    const own = await adopt(`${installation}_template`, 'app', { kind: 'database', tenantId: null })
    const database = []
    for (const key of TENANTS) database.push(await settle(stage, tenancy, 'database', `${key}-database`))
    onProgress('compiling the schema for schema')
    const schema = []
    let bridged: Adoption = { renamed: [], altered: [], refused: [] }
    for (const [at, key] of TENANTS.entries()) {
      const home = await open(2 + at, ['pool'])
      const place = await settle(stage, home.tenancy, 'schema', `${key}-schema`)
      bridged = await adopt(place.database, place.schema, place.wall)
      schema.push(place)
    }
    return {
      residences: [
        { strategy: 'rls', tenants: rls, adoption: pooled },
        { strategy: 'schema', tenants: schema, adoption: bridged },
        { strategy: 'database', tenants: database, adoption: own },
      ],
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function settle(stage: Stage, tenancy: Tenancy, strategy: Strategy, key: string): Promise<TenantPlace> {
  const id = randomUUID()
  await tenancy.tenants.create({ id, slug: key, name: key, plan: plans[strategy] })
  const { databaseName, schemaName } = await tenancy.tenants.placement(key)
  return {
    key,
    tenantId: id,
    handle: tenancy.tenant(key),
    database: databaseName,
    url: stage.urlOf(databaseName),
    schema: schemaName,
    wall: strategy === 'rls' ? { kind: 'rls' } : { kind: strategy, tenantId: id },
  }
}

/** Objects are named as the script's reader knows them, not by the place they were in. */
function withoutPlace(refusal: Refusal, schema: string): Refusal {
  const bare = (text: string) => text.replaceAll(`${schema}.`, '')
  return { ...refusal, object: bare(refusal.object), reason: bare(refusal.reason) }
}
