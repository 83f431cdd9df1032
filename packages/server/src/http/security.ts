import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import type { FastifyInstance } from 'fastify'
import { IMPERSONATED_BY } from './impersonated.ts'

interface SecurityOptions {
  /** Origins of web pages that may call the API with the visitor's session. @defaultValue none but its own */
  readonly origins?: readonly string[]
}

/** Security headers and CORS. An API answers data: nothing of it is to be framed, sniffed or run. */
export async function secureAnswers(
  app: FastifyInstance,
  { origins = [] }: SecurityOptions = {},
): Promise<void> {
  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    crossOriginResourcePolicy: { policy: origins.length > 0 ? 'cross-origin' : 'same-origin' },
  })
  await app.register(cors, {
    origin: [...origins],
    credentials: true,
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders: [
      'etag',
      'location',
      'x-request-id',
      'retry-after',
      'ratelimit',
      'ratelimit-policy',
      'idempotency-replayed',
      IMPERSONATED_BY,
    ],
  })
  app.addHook('onRequest', (request, reply, next) => {
    reply.headers({
      'cache-control': 'private, no-cache',
      'x-request-id': request.id,
    })
    // After what CORS has put there.
    reply.header(
      'vary',
      [reply.getHeader('vary') ?? [], 'authorization', 'cookie', 'x-tenant'].flat().join(', '),
    )
    // The reference is a page with scripts of its own.
    if (request.url.startsWith('/reference')) {
      reply.header(
        'content-security-policy',
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'",
      )
    }
    next()
  })
}
