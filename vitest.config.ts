import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const conditions = ['quickscale-source', 'module', 'node', 'development|production']

// The oldest driver the engine supports runs the same suite: QUICKSCALE_TEST_DRIVER=lowest.
const lowestDriver = process.env.QUICKSCALE_TEST_DRIVER === 'lowest'

/** Files that take a minute or so: begun last, they would leave one worker to go on alone. */
const long =
  /\/(test\/(attack|bench|docs-examples)|(moves(-crash|-watch)?|drain|provision(-crash)?|jobs|tenant-update)|cli\/test\/\w+)\.test\.ts$/

/** A checkout that has not run yet knows no durations, and would begin with the largest files. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => long.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  resolve: { conditions, alias: lowestDriver ? { pg: 'pg-lowest' } : {} },
  ssr: { resolve: { conditions } },
  test: {
    // They need PgBouncer and Redis, and fail without them: npm run test:pooler, npm run test:redis.
    exclude: [
      ...configDefaults.exclude,
      ...(process.env.QUICKSCALE_TEST_POOLER ? [] : ['**/pooler.test.ts']),
      ...(process.env.QUICKSCALE_TEST_REDIS ? [] : ['**/redis.test.ts']),
    ],
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/support/compile-cache.ts', 'test/support/server.ts'],
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    // They wait for the server as long as they work: two cores are busy with three.
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
})
