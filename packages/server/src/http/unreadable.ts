import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Problem } from '../api/index.ts'
import { describeProblem } from './problem.ts'

const refusals = {
  HPE_HEADER_OVERFLOW: { status: 431, code: 'HEADERS_TOO_LARGE', detail: 'The headers are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'REQUEST_TIMEOUT',
    detail: 'The request took too long to come',
  },
} as const
const malformed = { status: 400, code: 'REQUEST_MALFORMED', detail: 'This is no HTTP request' } as const

/** What was begun last on each connection. */
const answers = new WeakMap<Socket, ServerResponse>()

/** Remembers what is being answered, for {@link answerUnreadable}. */
export function watchAnswers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, next) => {
    answers.set(request.raw.socket, reply.raw)
    next()
  })
}

/** Answers what Node's parser refuses: no route and no hook sees it, and it is a problem like any other one. */
export function answerUnreadable(
  this: Pick<FastifyInstance, 'log'>,
  error: Error & { code?: string },
  socket: Socket,
): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const id = randomUUID()
  const refusal = Object.hasOwn(refusals, error.code ?? '')
    ? refusals[error.code as keyof typeof refusals]
    : malformed
  this.log.info({ reqId: id, code: refusal.code }, 'what came is no request')
  // Of an answer that has begun, this would be taken for a part.
  const begun = answers.get(socket)
  if (socket.writable && (begun === undefined || !begun.headersSent || begun.writableFinished))
    socket.end(print(describeProblem(refusal, id), id))
  socket.destroySoon()
}

function print(problem: Problem, id: string): string {
  const body = JSON.stringify(problem)
  return [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${id}`,
    'X-Content-Type-Options: nosniff',
    'Cache-Control: no-store',
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}
