import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { LRUCache } from 'lru-cache'
import type { PlatformLog } from '../audit/control-plane.ts'
import { describeRequest } from '../audit/entry.ts'
import { limits } from '../limits.ts'
import type { Caller } from './access.ts'
import { isNoted, noteAfter, noteFailure } from './audited.ts'
import type { Tenants } from './mount.ts'
import { problemOf } from './problem.ts'
import { admitted } from './require-access.ts'

// An operator who acts as a user is watched wherever they go. What they change has its line in the transaction of the change; all else,
// what they read, and what was refused or has failed at whatever point, gets its line here, in the tenant where they may act, after
// the answer is known and before any of it is sent. Who is refused for asking too often may go on asking as often as they like: that has
// one line until they may ask again.

interface Surroundings {
  readonly tenancy: Tenants
  readonly platformLog: PlatformLog
}

/** Who has been refused for asking too often, until they may ask again. */
type Refused = LRUCache<string, true>

/** Writes down each request of whoever acts as a user that nothing else has written down. */
export function watchImpersonation(app: FastifyInstance, surroundings: Surroundings): void {
  const refused: Refused = new LRUCache({
    max: limits.impersonationsRefused,
    ttl: limits.impersonationSeconds * 1000,
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const { caller } = admitted(request)
    if (caller?.impersonator === undefined || isNoted(request)) {
      done(null, payload)
      return
    }
    noteAnswer(request, reply, { ...surroundings, refused }).then(
      () => done(null, payload),
      (error: Error) => {
        if (payload instanceof Readable) payload.destroy()
        done(error)
      },
    )
  })
}

async function noteAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  { tenancy, platformLog, refused }: Surroundings & { readonly refused: Refused },
): Promise<void> {
  const { caller } = admitted(request)
  const route = request.routeOptions.config.declared
  if (route === undefined || caller === null || caller.tenantId === null) return
  const done = describeRequest(request, route, caller)
  const tenant = tenancy.tenant(caller.tenantId)
  // What cannot be written down is not answered.
  if (reply.statusCode < 400) return await noteAfter(tenant, done, platformLog)
  const code = problemOf(request)
  if (code === 'RATE_LIMITED' && isRepeated(refused, caller, reply)) return
  const outcome = reply.statusCode < 500 ? 'refused' : 'failed'
  const entry = { ...done, outcome, code } as const
  await noteFailure(tenant, entry, { request, platformLog })
}

/** Whether they have been refused before in this window of time, which ends when they may ask again. */
function isRepeated(refused: Refused, { impersonationId = '' }: Caller, reply: FastifyReply): boolean {
  if (refused.has(impersonationId)) return true
  // At least a second: of 0 it would be for ever.
  const seconds = Math.max(1, Number(reply.getHeader('retry-after'))) || 1
  refused.set(impersonationId, true, { ttl: 1000 * seconds })
  return false
}
