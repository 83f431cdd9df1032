export { assertIsolated, type IsolationReport } from './isolation.ts'
export { openTestTenancy, type TestTenancy, type TestTenancyConfig } from './test-tenancy.ts'
export { createTwins } from './twins.ts'
