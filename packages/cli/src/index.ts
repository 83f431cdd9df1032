/** What the command does, for programs. */
export { type CheckOptions, checkDump, type LoadedPlace, type Progress } from './check/check.ts'
export type { AffectedIndexReport, CheckReport, Difference, Refusal, StrategyReport } from './report.ts'
