import { createRandom } from '../packages/server/src/demo/random.ts'
import { makeBaseline } from './baseline.ts'
import { connectionsPerPool, fillPools, install } from './installation.ts'
import { forEachConcurrently } from './measure.ts'
import type { PeerName } from './peer.ts'
import { isPeer, makeSubjects, type Subject, type SubjectName } from './subjects.ts'
import { defineQueries, fillStatement, type QueryName, type Target, WrongTenant } from './workload.ts'

/** Everything that is compared, reached over one network, ready to be timed. */
export interface Stage {
  readonly subjects: ReadonlyMap<SubjectName, Subject>
  /** Runs the query for the next of the targets drawn for the subject. */
  run(subject: SubjectName, query: QueryName, target?: Target): Promise<void>
  /** How many answers of a peer had rows of another tenant; of our own subjects the first one ends the run. */
  wrongTenants(subject: SubjectName, query: QueryName): number
  /** @throws Error when an insert that was answered is not there, or is in another tenant's hands */
  checkInserts(): Promise<void>
  close(): Promise<void>
}

export interface StageOptions {
  /** How many tenants each strategy has. */
  readonly tenants: { readonly rls: number; readonly schema: number; readonly database: number }
  /** Rows of each tenant; at least 20, the size of a page. */
  readonly rowsPerTenant: number
  readonly seed: string
  readonly peers: readonly PeerName[]
  onProgress(done: number, total: number): void
}

const targetsDrawn = 5_000

/** @param url administrator's URL over that network */
export async function setStage(url: string, options: StageOptions): Promise<Stage> {
  const { rowsPerTenant } = options
  const installation = await install(url, options.tenants, options.onProgress)
  try {
    await forEachConcurrently(
      Object.values(installation.tenants).flat(),
      connectionsPerPool,
      async ({ slug }) => {
        const tenant = installation.tenancy.tenant(slug)
        for (const table of ['contact', 'message'] as const) {
          await tenant.query(fillStatement(table), [rowsPerTenant])
        }
      },
    )
    const baseline = await makeBaseline(installation, options.peers)
    await installation.vacuum()
    await fillPools(installation)
    const subjects = await makeSubjects(installation, baseline, options.peers)
    return {
      subjects,
      ...makeRunner(subjects, options),
      close: async () => {
        for (const subject of subjects.values()) await subject.close?.()
        await baseline.close()
        await installation.drop()
      },
    }
  } catch (error) {
    await installation.drop()
    throw error
  }
}

function makeRunner(
  subjects: ReadonlyMap<SubjectName, Subject>,
  { rowsPerTenant, seed }: StageOptions,
): Omit<Stage, 'subjects' | 'close'> {
  const queries = defineQueries(rowsPerTenant)
  const random = createRandom(seed)
  const targets = new Map(
    [...subjects].map(([name, { tenants }]) => {
      const drawn = Array.from({ length: targetsDrawn }, () => ({
        tenant: random.pick(tenants),
        row: random.below(rowsPerTenant),
      }))
      return [name, repeatForever(drawn)]
    }),
  )
  const inserted = new Map<string, number>()
  const wrong = new Map<string, number>()
  const countOne = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1)
  return {
    run: async (name, queryName, given) => {
      const subject = subjects.get(name)
      const target = given ?? targets.get(name)?.()
      if (subject === undefined || target === undefined) throw new RangeError(`nothing was drawn for ${name}`)
      const query = queries[queryName]
      const answer = await subject.run(query, target)
      try {
        query.check(answer, target)
      } catch (error) {
        if (!(error instanceof WrongTenant && isPeer(name))) throw error
        countOne(wrong, `${name} ${queryName}`)
      }
      if (queryName === 'insert') countOne(inserted, `${name} ${target.tenant.slug}`)
    },
    wrongTenants: (name, query) => wrong.get(`${name} ${query}`) ?? 0,
    checkInserts: async () => {
      for (const [name, { tenants, countMessages }] of subjects) {
        for (const tenant of tenants) {
          const expected = rowsPerTenant + (inserted.get(`${name} ${tenant.slug}`) ?? 0)
          const found = await countMessages(tenant)
          if (found === expected) continue
          if (isPeer(name)) countOne(wrong, `${name} insert`)
          else {
            throw new Error(`${name}: ${tenant.slug} has ${found} messages instead of ${expected}`)
          }
        }
      }
    },
  }
}

/** The same items in the same order, again and again; drawing them is done before the clock starts. */
export function repeatForever<Item>(items: readonly Item[]): () => Item {
  let next = 0
  return () => {
    const item = items[next % items.length]
    if (item === undefined) throw new RangeError('nothing was drawn')
    next += 1
    return item
  }
}
