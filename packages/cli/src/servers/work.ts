import { type LeftTenant, QuickScaleError, type Tenancy } from '@quickscale/tenancy'
import { exitCodes } from '../exit-codes.ts'
import { formatProgress } from '../moves/progress.ts'
import type { MoveFlags, MoveSession, Outcome } from '../moves/session.ts'
import { formatDrain, formatDrainPlan, formatServer, formatServers } from './format.ts'

/** What `quickscale server drain SERVER` takes. */
export interface DrainFlags extends MoveFlags {
  readonly rollbackWindow?: number
  readonly dryRun?: boolean
}

export async function list(tenancy: Tenancy): Promise<Outcome> {
  const servers = await tenancy.servers.list()
  return { exitCode: exitCodes.well, json: { ok: true, servers }, text: formatServers(servers) }
}

export async function show(tenancy: Tenancy, name: string): Promise<Outcome> {
  const server = await tenancy.servers.get(name)
  return { exitCode: exitCodes.well, json: { ok: true, ...server }, text: formatServer(server) }
}

export async function undrain(tenancy: Tenancy, name: string): Promise<Outcome> {
  const server = await tenancy.servers.undrain(name)
  return { exitCode: exitCodes.well, json: { ok: true, ...server }, text: `${name} takes tenants again.` }
}

export async function remove(tenancy: Tenancy, name: string): Promise<Outcome> {
  const dropped = await tenancy.servers.remove(name)
  const text = `Dropped: ${dropped.join(', ') || 'nothing'}. ${name} may leave the configuration.`
  return { exitCode: exitCodes.well, json: { ok: true, server: name, dropped }, text }
}

export async function drain(
  { tenancy, signal, draw }: MoveSession,
  name: string,
  { rollbackWindow, share, dryRun }: DrainFlags,
): Promise<Outcome> {
  if (dryRun) {
    const plan = await tenancy.servers.planDrain(name)
    const ok = plan.stuck.length === 0
    const json = { ok, dryRun, ...plan, stuck: plan.stuck.map(explainLeft) }
    return { exitCode: ok ? exitCodes.well : exitCodes.differs, json, text: formatDrainPlan(plan) }
  }
  const report = await tenancy.servers.drain(name, {
    signal,
    ...(rollbackWindow === undefined ? {} : { rollbackWindowMs: rollbackWindow }),
    ...(share === undefined ? {} : { copyShare: share }),
    onProgress: ({ moved, total, tenant, move }) =>
      draw(`${moved} ${tenant} ${move?.state}`, () => {
        const news = move === null ? 'has left' : formatProgress(move)
        return `${moved} of ${total} · ${tenant} · ${news}`
      }),
  })
  const ok = report.drained
  const left = { ...report.left, tenants: report.left.tenants.map(explainLeft) }
  return {
    exitCode: ok ? exitCodes.well : exitCodes.differs,
    json: { ok, ...report, left },
    text: formatDrain(report),
  }
}

function explainLeft({ error, ...who }: LeftTenant): object {
  const { code, remedy } = error instanceof QuickScaleError ? error : {}
  return { ...who, error: { code, message: error instanceof Error ? error.message : String(error), remedy } }
}
