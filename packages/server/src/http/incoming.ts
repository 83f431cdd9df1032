import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { pictureTypes } from '../api/media.ts'
import { ProblemError } from './problem-error.ts'

/** Has requests name their host, and takes JSON in UTF-8 and pictures: what is compressed, or in another charset, is refused as that. */
export function readRequests(app: FastifyInstance): void {
  app.removeContentTypeParser(['text/plain', 'application/json'])
  const parse = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (isUtf8(body)) parse(request, body.toString(), done)
    else done(new ProblemError(400, 'INVALID_JSON_BODY', 'The body is no UTF-8'))
  })
  app.addContentTypeParser([...pictureTypes], { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  // Node would refuse it with an empty answer.
  app.addHook('onRequest', (request, _reply, next) => {
    const missing = request.headers.host === undefined && request.raw.httpVersion === '1.1'
    next(missing ? new ProblemError(400, 'HOST_MISSING', 'The request has no Host header') : undefined)
  })
  // After the caller was let in, before anything of the body is read.
  app.addHook('preParsing', (request, reply, _payload, next) => {
    const refusal = refuseCoding(request) ?? refuseCharset(request)
    if (refusal?.code === 'CONTENT_ENCODING_UNSUPPORTED') reply.header('accept-encoding', 'identity')
    next(refusal ?? undefined)
  })
}

function refuseCoding({ headers }: FastifyRequest): ProblemError | null {
  const codings = (headers['content-encoding'] ?? 'identity').split(',')
  if (codings.every((coding) => coding.trim().toLowerCase() === 'identity')) return null
  return new ProblemError(
    415,
    'CONTENT_ENCODING_UNSUPPORTED',
    'Send the body as it is, without a Content-Encoding',
  )
}

const CHARSET = /;\s*charset\s*=\s*"?([^";\s]*)/gi

function refuseCharset({ headers }: FastifyRequest): ProblemError | null {
  const charsets = [...(headers['content-type'] ?? '').matchAll(CHARSET)].map(([, charset = '']) => charset)
  if (charsets.every((charset) => /^utf-?8$/i.test(charset))) return null
  return new ProblemError(415, 'CHARSET_UNSUPPORTED', 'Send the body in UTF-8')
}
