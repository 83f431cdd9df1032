import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { ProblemError } from './problem-error.ts'

/** A strong validator: the same bytes, the same tag. */
function tagOf(body: string | Buffer): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
}

/** Gives every answer to a GET its ETag, and answers 304 to who has it already. */
export function tagAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (request.method !== 'GET' || reply.statusCode !== 200) return payload
    if (typeof payload !== 'string' && !Buffer.isBuffer(payload)) return payload
    const tag = tagOf(payload)
    reply.header('etag', tag)
    if (!matches(request.headers['if-none-match'], tag)) return payload
    reply.status(304).removeHeader('content-type').removeHeader('content-length')
    return ''
  })
}

/**
 * Lets a change through only when the caller has seen the record as it is now. Called in the transaction of the change,
 * which must be repeatable read: else another change may come in between.
 *
 * @param current the record as it would be answered
 * @throws ProblemError `PRECONDITION_FAILED`
 */
export function assertUnchanged(request: FastifyRequest, current: string): void {
  const wanted = request.headers['if-match']
  if (wanted === undefined || wanted.trim() === '*' || list(wanted).includes(tagOf(current))) return
  throw new ProblemError(412, 'PRECONDITION_FAILED', 'The record is not what If-Match says: read it again')
}

/** Weak comparison, as RFC 9110 has it for If-None-Match. */
function matches(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false
  return header.trim() === '*' || list(header).some((each) => each.replace(/^W\//, '') === tag)
}

function list(header: string): string[] {
  return header.split(',').map((each) => each.trim())
}
