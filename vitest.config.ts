import { configDefaults, defineConfig } from 'vitest/config'

const conditions = ['quickscale-source', 'module', 'node', 'development|production']

// The oldest driver the engine supports runs the same suite: QUICKSCALE_TEST_DRIVER=lowest.
const lowestDriver = process.env.QUICKSCALE_TEST_DRIVER === 'lowest'

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
    // They wait for the server as long as they work: two cores are busy with three.
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
  },
})
