import type { FastifyInstance } from 'fastify'
import { ProblemError } from './problem-error.ts'

/** The only address the server listens on while it has no authentication. */
export const LOOPBACK = '127.0.0.1'

export const DEMO_HEADER = 'x-quickscale-demo'
export const DEMO_NOTICE =
  'demo without authentication: everyone who reaches this port reads and changes everything'

/**
 * Keeps a server without authentication to this machine: a web page elsewhere can point a name of its own at
 * 127.0.0.1 and let the visitor's browser ask (DNS rebinding), but cannot change the Host header it sends.
 */
export function guardLoopback(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, next) => {
    reply.header(DEMO_HEADER, DEMO_NOTICE)
    if (isLoopbackHost(request.host)) return next()
    next(new ProblemError(421, 'HOST_REFUSED', 'This demo answers to localhost only'))
  })
}

/** `localhost`, `127.0.0.1`, `[::1]` and `*.localhost`, with or without port. */
export function isLoopbackHost(host: string): boolean {
  return /^(([a-z0-9-]+\.)*localhost\.?|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host)
}
