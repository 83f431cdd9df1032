export type { Admin, AdminTransaction, AdminUse } from './admin/admin.ts'
export type { ControlPlane } from './catalog/control-plane.ts'
export { decrypt, type Envelope, encrypt, localKeyProvider } from './catalog/credentials.ts'
export type { Kin, Member, NewMember } from './catalog/members.ts'
export type { Suspension } from './catalog/suspensions.ts'
export type { TenantFilter } from './catalog/tenants.ts'
export {
  type ConnectionsConfig,
  defineConfig,
  loadConfig,
  type PlanConfig,
  type TenancyConfig,
} from './config.ts'
export type { Check, Finding, FindingLevel } from './doctor/checks.ts'
export type { DoctorOptions, DoctorReport } from './doctor/doctor.ts'
export { type ErrorCode, type ErrorDetails, errorDefinitions, QuickScaleError } from './errors.ts'
export type { FleetOptions, FleetOutcome } from './fleet/every-tenant.ts'
export type { Fleet, FleetAnswer } from './fleet/fleet.ts'
export type { KeyProvider } from './key-provider.ts'
export type { DeleteOptions, Deletion } from './lifecycle/delete.ts'
export type { StateChange } from './lifecycle/states.ts'
export type { SweepReport } from './lifecycle/sweep.ts'
export type { Tenants } from './lifecycle/tenants.ts'
export type { TenantNames, TenantUpdate } from './lifecycle/update.ts'
export type { DeliveryOptions, DeliveryReport } from './members/deliver.ts'
export type { Members } from './members/members.ts'
export type { Move, MovePlace, MoveProgress, MoveRequest, MoveState } from './move.ts'
export type { PlanChange, PlanChangeOptions, PlanChanges } from './moves/change-plan.ts'
export type { DriveOptions } from './moves/drive.ts'
export type { Moves, ResumeReport } from './moves/moves.ts'
export type { Destination, MovePlan } from './moves/plan.ts'
export type { TenantSize } from './moves/preflight.ts'
export type { MoveVerification } from './moves/verify.ts'
export type { MoveWatch, WatchOptions } from './moves/watch.ts'
export type { BroughtDatabase } from './placements/bring.ts'
export type { BroughtFailure } from './placements/brought-failures.ts'
export type { DriftReport, PlaceDrift } from './placements/drift.ts'
export type { MigrationReport } from './placements/install.ts'
export type { NewTenant } from './placements/order.ts'
export type { WarmReport } from './placements/warm.ts'
export { resolveFromHost } from './resolve/host.ts'
export { resolveFromPath } from './resolve/path.ts'
export type { TenantResolver } from './resolve/resolver.ts'
export type {
  BroughtDatabasesConfig,
  PlacementRules,
  PoolerConfig,
  ServerCaps,
  ServerConfig,
} from './server-config.ts'
export type { DrainOptions, DrainProgress, LeftTenant } from './servers/drain.ts'
export type { DrainPlan, PlannedMove } from './servers/drain-plan.ts'
export type {
  RebalanceLimits,
  RebalanceMove,
  RebalanceOptions,
  RebalancePlan,
  RebalanceReport,
} from './servers/rebalance/rebalance.ts'
export type { ServerDatabase, ServerDetails, TenantLoad } from './servers/server-details.ts'
export type { DrainReport, ServerOperations, ServerSummary } from './servers/servers.ts'
export type { BulkInsertOptions, BulkRows } from './session/bulk-insert.ts'
export type { CopyOutOptions } from './session/copy-out.ts'
export type { Rewriting, SqlChange } from './session/rewrite/rewrite.ts'
export type { StreamOptions } from './session/row-stream.ts'
export type { Statement } from './session/scope.ts'
export type { TenantHandle, TenantOptions } from './session/tenant-handle.ts'
export { TenantPool } from './session/tenant-pool.ts'
export type { TenantTransaction, TransactionOptions } from './session/transaction.ts'
export type { Holding } from './strategies/strategy.ts'
export { createTenancy, type Tenancy } from './tenancy.ts'
export type { Actor, Placement, Strategy, Tenant, TenantState } from './tenant.ts'
