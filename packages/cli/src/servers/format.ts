import type {
  DrainPlan,
  DrainReport,
  LeftTenant,
  Move,
  ServerDetails,
  ServerSummary,
} from '@quickscale/tenancy'
import { count } from '../format.ts'
import { formatPlace, formatTime } from '../moves/format.ts'
import { formatBytes, formatSeconds } from '../moves/progress.ts'

/** One line per server. */
export function formatServers(servers: readonly ServerSummary[]): string {
  const width = Math.max(...servers.map(({ name }) => name.length))
  return servers
    .map((server) =>
      [server.name.padEnd(width), server.state.padEnd(8), formatTenants(server), ...traitsOf(server)].join(
        '  ',
      ),
    )
    .join('\n')
}

/** One server, and its databases. */
export function formatServer(server: ServerSummary & ServerDetails): string {
  const { caps, drainingSince } = server
  return [
    `Server    ${server.name}`,
    `State     ${server.state}${drainingSince === null ? '' : ` since ${formatTime(drainingSince)}`}`,
    `Tenants   ${formatTenants(server)}`,
    ...traitsOf(server).map((trait) => `Rules     ${trait}`),
    `Caps      ${count(caps.databases, 'database')} of tenants, ${count(caps.sharedDatabases, 'shared database')} with ` +
      `${count(caps.rowTenantsPerDatabase, 'tenant')} as rows and ${count(caps.schemasPerDatabase, 'schema')} each`,
    ...server.databases.map(
      ({ name, kind, bytes }) =>
        `Database  ${name} (${kind}${bytes === null ? '' : `, ${formatBytes(bytes)}`})`,
    ),
    ...server.biggest.map(
      ({ tenant, state, strategy, bytes, busyMs }) =>
        `Tenant    ${tenant} (${strategy}, ${state}): ${formatBytes(bytes)}, busy for ${formatSeconds(busyMs / 1000)}`,
    ),
  ].join('\n')
}

/** Where everybody would go. */
export function formatDrainPlan({ server, moves, stuck, omitted }: DrainPlan): string {
  return [
    ...moves.map(
      ({ tenant, target, size }) => `${tenant}  → ${formatPlace(target)}  (${count(size.rows, 'row')})`,
    ),
    ...formatStuck(stuck),
    ...(omitted === 0 ? [] : [`and ${count(omitted, 'tenant')} more, not looked at`]),
    `${count(moves.length, 'tenant')} of ${server} would move, ${stuck.length} cannot. Nothing was changed.`,
  ].join('\n')
}

/** What a drain has done, and what is left. */
export function formatDrain({ server, drained, moved, left }: DrainReport): string {
  const more = left.tenantCount - left.tenants.length
  return [
    ...formatStuck(left.tenants),
    ...(more > 0 ? [`and ${count(more, 'tenant')} more`] : []),
    ...left.moves.map((move) => `move ${move.id}  ${move.state}  ${reasonOf(move)}`),
    `${count(moved, 'tenant')} moved away; ${count(left.tenantCount, 'tenant')} and ${count(left.moves.length, 'move')} left on ${server}.`,
    `Still there: ${left.databases.map(({ name, kind }) => `${name} (${kind})`).join(', ')}.`,
    drained
      ? `It takes no tenants: quickscale server undrain ${server} ends that.`
      : `Remove what is in the way and repeat quickscale server drain ${server}.`,
  ].join('\n')
}

function reasonOf({ id, state, rollbackUntil, failure }: Move): string {
  if (state === 'active' && rollbackUntil !== null) {
    return `its way back is open until ${formatTime(rollbackUntil)}: quickscale move finish ${id}`
  }
  return failure === null ? `under way: quickscale move show ${id}` : `failed: ${failure}`
}

function formatStuck(stuck: readonly LeftTenant[]): string[] {
  return stuck.map(
    ({ tenant, strategy, error }) =>
      `${tenant} (${strategy}) stays: ${error instanceof Error ? error.message : String(error)}`,
  )
}

function formatTenants({ tenants: { rls, schema, database } }: ServerSummary): string {
  return `${count(rls, 'tenant')} as rows, ${count(schema, 'schema')}, ${count(database, 'database')}`
}

function traitsOf({ region, labels, private: isPrivate, weight }: ServerSummary): string[] {
  const traits = [
    ...(region === null ? [] : [`region ${region}`]),
    ...(labels.length === 0 ? [] : [`labels ${labels.join(', ')}`]),
    ...(isPrivate ? ['private'] : []),
    ...(weight === 1 ? [] : [`weight ${weight}`]),
  ]
  return traits.length === 0 ? [] : [traits.join('; ')]
}
