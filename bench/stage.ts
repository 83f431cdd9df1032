import { createRandom } from '../packages/server/src/demo/random.ts'
import { makeBaseline } from './baseline.ts'
import { connectionsPerPool, install } from './installation.ts'
import { forEachConcurrently } from './measure.ts'
import { makeSubjects, type Subject, type SubjectName, subjectNames } from './subjects.ts'
import { defineQueries, fillStatement, type QueryName, type Target } from './workload.ts'

/** Everything that is compared, reached over one network, ready to be timed. */
export interface Stage {
  readonly subjects: Readonly<Record<SubjectName, Subject>>
  /** Runs the query for the next of the targets drawn for the subject. */
  run(subject: SubjectName, query: QueryName, target?: Target): Promise<void>
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
    const baseline = await makeBaseline(installation)
    await installation.vacuum()
    const subjects = makeSubjects(installation, baseline)
    return {
      subjects,
      ...makeRunner(subjects, options),
      close: async () => {
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
  subjects: Readonly<Record<SubjectName, Subject>>,
  { rowsPerTenant, seed }: StageOptions,
): Omit<Stage, 'subjects' | 'close'> {
  const queries = defineQueries(rowsPerTenant)
  const random = createRandom(seed)
  const targets = new Map(
    subjectNames.map((name) => {
      const drawn = Array.from({ length: targetsDrawn }, () => ({
        tenant: random.pick(subjects[name].tenants),
        row: random.below(rowsPerTenant),
      }))
      return [name, repeatForever(drawn)]
    }),
  )
  const inserted = new Map<string, number>()
  return {
    run: async (subject, queryName, given) => {
      const target = given ?? targets.get(subject)?.()
      if (target === undefined) throw new RangeError(`nothing was drawn for ${subject}`)
      const query = queries[queryName]
      query.check(await subjects[subject].run(query, target), target)
      if (queryName !== 'insert') return
      const key = `${subject} ${target.tenant.slug}`
      inserted.set(key, (inserted.get(key) ?? 0) + 1)
    },
    checkInserts: async () => {
      for (const name of subjectNames) {
        for (const tenant of subjects[name].tenants) {
          const expected = rowsPerTenant + (inserted.get(`${name} ${tenant.slug}`) ?? 0)
          const found = await subjects[name].countMessages(tenant)
          if (found !== expected) {
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
