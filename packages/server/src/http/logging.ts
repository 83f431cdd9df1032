import type { FastifyRequest } from 'fastify'
import { type DestinationStream, type Logger, pino } from 'pino'

/** Headers and fields whose values are never written down. */
const secrets = [
  'authorization',
  'cookie',
  'set-cookie',
  'password',
  'newPassword',
  'currentPassword',
  'token',
  'key',
  'secret',
].flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`])

export interface LogOptions {
  /** @defaultValue `info` */
  readonly level?: string
  /** @defaultValue standard output */
  readonly destination?: DestinationStream
}

/** A logger that knows requests by id, tenant and caller, and no secrets: no headers, no bodies, no query strings. */
export function createLogger({ level = 'info', destination }: LogOptions = {}): Logger {
  const options = {
    level,
    redact: { paths: secrets, censor: '[secret]' },
    serializers: {
      req: ({ id, method, url, ip }: FastifyRequest) => ({ id, method, url: url.split('?', 1)[0], ip }),
    },
  }
  return destination === undefined ? pino(options) : pino(options, destination)
}
