import type { Strategy } from '@quickscale/tenancy'
import { compareTenant, type Expectations, readExpectations } from '../compare/compare.ts'
import { compareIndexes, type IndexUse, readIndexUse } from '../compare/indexes.ts'
import { compareStructure } from '../compare/structure.ts'
import type { AffectedIndexReport, CheckReport, Difference, Refusal, StrategyReport } from '../report.ts'
import { type Catalog, readCatalog, tablesOf, viewsOf } from './catalog.ts'
import { createMapping, type Mapping } from './mapping.ts'
import { type Blank, loadOriginal, makeBlank, type Original } from './original.ts'
import { buildHousing, type Residence, type TenantPlace } from './places.ts'
import { restChecks } from './resting-checks.ts'
import { buildIndexes, restIndexes } from './resting-indexes.ts'
import { copyRows } from './rows.ts'
import { connected, openStage, type Stage } from './stage.ts'

export interface CheckOptions {
  /** Path of the script. */
  readonly path: string
  /** A superuser's URL of a server to work on. @defaultValue a throw-away one */
  readonly serverUrl?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Called when the rows are loaded and nothing is compared yet: what it changes must be found. */
  readonly beforeCompare?: ((places: readonly LoadedPlace[]) => Promise<void>) | undefined
}

/** One tenant's place, for {@link CheckOptions.beforeCompare}. */
export interface LoadedPlace {
  readonly strategy: Strategy
  readonly tenantId: string
  readonly schema: string
  /** Administrator's URL of the database. */
  readonly url: string
}

/** What is being done, and how far it is, where that is known. */
export interface Progress {
  readonly step: string
  /** A share from 0 to 1. */
  readonly done?: number
  /** Bytes of the script that have been read. */
  readonly bytes?: number
}

/**
 * Loads a script as it is, and as two tenants under each strategy, and compares. Takes away all that it makes, also
 * when it is aborted.
 *
 * @throws QuickScaleError `SCRIPT_UNUSABLE`, `SERVER_UNSUITABLE`, `SERVER_UNREACHABLE`, `EMBEDDED_SERVER_FAILED`; the signal's reason
 * @example const report = await checkDump({ path: 'dump.sql' })
 */
export async function checkDump(options: CheckOptions): Promise<CheckReport> {
  const { signal } = options
  const say = (step: string) => options.onProgress?.({ step })
  signal?.throwIfAborted()
  const stage = await openStage(options.serverUrl, say)
  let interrupted: Promise<void> | undefined
  const interrupt = () => {
    interrupted ??= stage.interrupt()
  }
  signal?.addEventListener('abort', interrupt)
  try {
    signal?.throwIfAborted()
    return await checkOn(stage, options, say)
  } catch (error) {
    // Whatever fails after an interruption fails because of it.
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', interrupt)
    await interrupted
    await stage.close()
  }
}

/** What is known about one strategy before anything is compared. */
interface Loaded {
  readonly residence: Residence
  readonly sides: readonly {
    readonly place: TenantPlace
    readonly catalog: Catalog
    readonly mapping: Mapping
  }[]
}

async function checkOn(
  stage: Stage,
  options: CheckOptions,
  say: (step: string) => void,
): Promise<CheckReport> {
  const { signal } = options
  const original = await loadOriginal(stage, options.path, (bytes) =>
    options.onProgress?.({ step: 'loading the script', bytes }),
  )
  say('reading the original')
  const expectations = await readExpectations(original)
  const use = await readIndexUse(original)
  signal?.throwIfAborted()
  const blank = await makeBlank(stage, original)
  const housing = await buildHousing(stage, blank, say)
  try {
    const loaded: Loaded[] = []
    for (const residence of housing.residences) {
      signal?.throwIfAborted()
      loaded.push(await loadResidence(original, blank, residence, options))
    }
    await options.beforeCompare?.(
      loaded.flatMap(({ residence, sides }) =>
        sides.map(({ place: { tenantId, schema, url } }) => ({
          strategy: residence.strategy,
          tenantId,
          schema,
          url,
        })),
      ),
    )
    const compared = []
    for (const one of loaded) {
      signal?.throwIfAborted()
      const step = `comparing ${one.residence.strategy}`
      compared.push(
        await compareResidence(original, { expectations, use }, one, (done) =>
          options.onProgress?.({ step, done }),
        ),
      )
    }
    return summarize(original, blank, housing.residences, expectations, compared)
  } finally {
    await housing.close()
  }
}

async function loadResidence(
  original: Original,
  blank: Blank,
  residence: Residence,
  { onProgress }: CheckOptions,
): Promise<Loaded> {
  const step = `loading two tenants under ${residence.strategy}`
  const tables = original.catalog.relations.length * residence.tenants.length
  let copied = 0
  const onTable = () => {
    copied += 1
    onProgress?.({ step, done: copied / Math.max(1, tables) })
  }
  const read = (place: TenantPlace) =>
    connected(place.url, (client) => readCatalog(client, { schemas: [place.schema], place: true }))
  const mappingOf = (catalog: Catalog) =>
    createMapping(catalog, residence.adoption, blank, [...blank.refused, ...original.load.refused])
  // Under rls both live in one.
  const places = [
    ...new Map(residence.tenants.map((place) => [`${place.url} ${place.schema}`, place])).values(),
  ]
  const catalogs = new Map<TenantPlace, Catalog>()
  for (const place of residence.tenants) catalogs.set(place, await read(place))
  const restored = []
  for (const place of places) {
    await restIndexes(place)
    restored.push(await restChecks(place))
  }
  for (const [place, catalog] of catalogs)
    await copyRows(original, place, { catalog, mapping: mappingOf(catalog) }, onTable)
  for (const restore of restored) await restore()
  for (const place of places)
    await buildIndexes(place, (built, total) =>
      onProgress?.({ step: `building indexes under ${residence.strategy}`, done: built / total }),
    )
  const sides = residence.tenants.map((place) => ({ place }))
  const withCatalogs = []
  for (const { place } of sides) {
    const catalog = await read(place)
    withCatalogs.push({ place, catalog, mapping: mappingOf(catalog) })
  }
  return { residence, sides: withCatalogs }
}

interface Compared {
  readonly strategy: Strategy
  readonly report: StrategyReport
  readonly affected: readonly AffectedIndexReport[]
}

async function compareResidence(
  original: Original,
  { expectations, use }: { expectations: Expectations; use: IndexUse },
  { residence, sides }: Loaded,
  onProgress: (done: number) => void,
): Promise<Compared> {
  const differences: Difference[] = []
  const affected = new Map<string, AffectedIndexReport>()
  let tables = 0
  let rows = 0
  let begun = 0
  const all = original.catalog.relations.length * sides.length
  const onRelation = () => {
    onProgress(begun / Math.max(1, all))
    begun += 1
  }
  for (const { place, ...loaded } of sides) {
    // As the catalogs are now: beforeCompare may have changed them.
    const catalog = await connected(place.url, (client) =>
      readCatalog(client, { schemas: [place.schema], place: true }),
    )
    const mapping = loaded.mapping.over(catalog)
    differences.push(...compareStructure({ original: original.catalog, place: catalog, mapping }))
    const tenant = await compareTenant(original, expectations, place, mapping, onRelation)
    differences.push(...tenant.differences)
    const plans = await compareIndexes(use, residence, place, mapping)
    differences.push(...plans.differences)
    for (const item of plans.affected) affected.set(item.index, item)
    tables = tenant.tables
    rows += tenant.rows
  }
  const report = {
    tables,
    rows,
    differences: unique(differences),
    compared: {
      views: viewsOf(original.catalog).length,
      constraints: original.catalog.constraints.length,
      probes: expectations.probes.length,
      indexes: original.catalog.indexes.length,
      sequences: original.catalog.sequences.length,
    },
  }
  return { strategy: residence.strategy, report, affected: [...affected.values()] }
}

function summarize(
  original: Original,
  blank: Blank,
  residences: readonly Residence[],
  expectations: Expectations,
  compared: readonly Compared[],
): CheckReport {
  const reportOf = (strategy: Strategy): StrategyReport => {
    const found = compared.find((one) => one.strategy === strategy)
    if (!found) throw new Error(`nothing was compared under ${strategy}`)
    return found.report
  }
  const strategies = { rls: reportOf('rls'), schema: reportOf('schema'), database: reportOf('database') }
  const schemaOf = new Map(blank.schemas.map((schema) => [schema.blank, schema.original]))
  const lostObjects = blank.refused.some(({ kind }) => kind === 'large object')
  return {
    ok: Object.values(strategies).every(({ differences }) => differences.length === 0) && !lostObjects,
    original: {
      tables: tablesOf(original.catalog).length,
      rows: [...expectations.tables.values()].reduce((sum, { rows }) => sum + rows, 0),
      views: viewsOf(original.catalog).length,
      schemas: original.schemas,
    },
    strategies,
    affectedIndexes: compared.flatMap(({ affected }) => affected),
    refused: uniqueRefusals([
      ...original.load.refused,
      ...blank.refused,
      ...residences.flatMap(({ adoption }) => adoption.refused),
    ]),
    renamed: [...original.renamed, ...(residences[0]?.adoption.renamed ?? [])].map(
      ({ kind, schema, name, to }) => ({
        kind,
        from: `${schemaOf.get(schema) ?? schema}.${name}`,
        to,
      }),
    ),
    altered: residences[0]?.adoption.altered ?? [],
    ignored: original.load.ignored,
  }
}

function uniqueRefusals(refusals: readonly Refusal[]): Refusal[] {
  return [...new Map(refusals.map((item) => [`${item.kind} ${item.object}`, item])).values()]
}

function unique(differences: readonly Difference[]): Difference[] {
  return [...new Map(differences.map((item) => [JSON.stringify(item), item])).values()]
}
