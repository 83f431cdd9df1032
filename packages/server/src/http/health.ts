import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { liveness } from '../api/index.ts'
import { limits } from '../limits.ts'
import { ProblemError } from './problem-error.ts'
import { applicationRoute, type Route } from './route.ts'

export interface HealthOptions {
  /** Throws when requests could not be answered: the catalog is away. */
  readonly check: () => Promise<unknown>
  /** Milliseconds that the event loop may be late before requests are refused with 503; 0 for ever. @defaultValue 2000 */
  readonly eventLoopDelayMsMax?: number | undefined
}

/** `/livez`: the process runs. `/readyz`: it can do its work, and has not been asked to stop. */
export function healthRoutes(app: FastifyInstance, { check }: HealthOptions): readonly Route[] {
  let closing = false
  app.addHook('preClose', (done) => {
    closing = true
    done()
  })
  const ready = async () => {
    if (closing) throw new ProblemError(503, 'CLOSING', 'This process is about to end')
    await within(limits.readinessMs, check()).catch((error: unknown) => {
      if (error instanceof ProblemError) throw error
      app.log.warn({ err: error }, 'not ready')
      throw new ProblemError(503, 'NOT_READY', 'The catalog cannot be read')
    })
    return { status: 'ok' as const }
  }
  const route = { method: 'GET', access: 'anyone', rate: 'free', answers: { 200: liveness } } as const
  return [
    applicationRoute({
      ...route,
      path: '/livez',
      summary: 'Whether the process runs',
      handle: async () => ({ status: 'ok' }),
    }),
    applicationRoute({
      ...route,
      path: '/readyz',
      summary: 'Whether requests can be answered',
      handle: ready,
    }),
  ]
}

/** Turns requests away while the process cannot keep up, but never a question after its health. */
export async function refuseUnderPressure(
  app: FastifyInstance,
  eventLoopDelayMsMax: number = limits.eventLoopDelayMsMax,
): Promise<void> {
  if (eventLoopDelayMsMax === 0) return
  await app.register(underPressure, {
    maxEventLoopDelay: eventLoopDelayMsMax,
    pressureHandler: (request, _reply) => {
      if (request.url === '/livez' || request.url === '/readyz') return
      throw new ProblemError(503, 'OVERLOADED', 'The service is busy; try again')
    },
  })
}

async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(
      () => fail(new ProblemError(503, 'NOT_READY', 'The catalog does not answer')),
      milliseconds,
    )
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
