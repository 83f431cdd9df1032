import { QuickScaleError } from '@quickscale/tenancy'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod'
import pg from 'pg'
import type { Problem } from '../api/index.ts'
import { ProblemError } from './problem-error.ts'

/** What a violated constraint means to the caller: the field, and why it was not accepted. */
export interface ConstraintMeaning {
  readonly field: string
  readonly message: string
}

/** By constraint name, which a tenant's place keeps as the migration wrote it. */
export type ConstraintMeanings = Readonly<Record<string, ConstraintMeaning>>

type Description = Pick<Problem, 'status' | 'code' | 'detail' | 'errors'>

const titles: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  414: 'URI Too Long',
  415: 'Unsupported Media Type',
  421: 'Misdirected Request',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

const codes = new WeakMap<FastifyRequest, string>()

/** The code of the problem that a request was answered with. */
export function problemOf(request: FastifyRequest): string | null {
  return codes.get(request) ?? null
}

/** The code of the problem that an error becomes; null for one that is ours alone. */
export function codeOf(error: unknown, request: FastifyRequest): string | null {
  return describe(error, request, {})?.code ?? null
}

/**
 * Answers any error as problem+json. Texts of the database and of unexpected errors go to the log only: they can
 * name rows the caller must not know of.
 */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  meanings: ConstraintMeanings,
): FastifyReply {
  const description =
    describe(error, request, meanings) ??
    problem(500, 'INTERNAL', 'Something went wrong on our side; the instance names it in the log')
  codes.set(request, description.code)
  if (description.status >= 500) request.log.error({ err: error }, 'request failed')
  if (description.status === 401) reply.header('www-authenticate', 'Bearer')
  const soon = description.status === 503 || description.status === 429
  if (soon && !reply.hasHeader('retry-after')) reply.header('retry-after', '1')
  const body = describeProblem(description, request.id)
  // Serialized here: an answer to an error must not depend on the schemas of the route that failed.
  return reply.status(body.status).type('application/problem+json').serializer(JSON.stringify).send(body)
}

/** @param id of the request */
export function describeProblem(description: Description, id: string): Problem {
  return {
    type: `urn:quickscale:problem:${description.code.toLowerCase().replaceAll('_', '-')}`,
    title: titles[description.status] ?? 'Internal Server Error',
    ...description,
    instance: `urn:uuid:${id}`,
  }
}

function describe(error: unknown, request: FastifyRequest, meanings: ConstraintMeanings): Description | null {
  if (error instanceof ProblemError) return problem(error.status, error.code, error.message, error.errors)
  if (error instanceof QuickScaleError) return describeLibrary(error)
  if (hasZodFastifySchemaValidationErrors(error)) {
    const part = parts[error.validationContext ?? ''] ?? 'path'
    const errors = error.validation.map(({ instancePath, message }) => ({
      in: part,
      path: instancePath === '/' ? '' : instancePath,
      message: message ?? 'is not accepted',
    }))
    return problem(400, 'VALIDATION_FAILED', `The ${part} of the request is not acceptable`, errors)
  }
  if (error instanceof pg.DatabaseError) return describeDatabase(error, request, meanings)
  return describeFramework(error)
}

const parts: Readonly<Record<string, 'body' | 'query' | 'path'>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
}

/** What a caller can have asked for in vain. */
const callersAffair = /^(TENANT_|MEMBER_|PLAN_UNKNOWN|SLUG_RESTING)/

/** Only errors the caller can act on; the rest are ours. */
function describeLibrary(error: QuickScaleError): Description | null {
  if (error.status === 503 || error.status === 504) {
    return problem(error.status, error.code, 'The service is busy; try again')
  }
  if (!callersAffair.test(error.code)) return null
  return problem(error.status, error.code, error.message.replace(` [${error.code}]`, ''))
}

function describeDatabase(
  error: pg.DatabaseError,
  request: FastifyRequest,
  meanings: ConstraintMeanings,
): Description | null {
  const meaning = meanings[error.constraint ?? '']
  const errors = meaning && [{ in: 'body' as const, path: `/${meaning.field}`, message: meaning.message }]
  const detail = meaning ? `${meaning.field} ${meaning.message}` : 'A rule of the data was violated'
  switch (error.code) {
    case '23505':
      return problem(409, 'CONFLICT', detail, errors)
    case '23503':
    case '23001':
      // The same rule seen from its other end.
      if (request.method === 'DELETE') return problem(409, 'IN_USE', 'Other records still refer to this one')
      return problem(422, 'REFERENCE_UNKNOWN', detail, errors)
    case '23502':
    case '23514':
      return problem(422, 'RULE_VIOLATED', detail, errors)
    case '57014':
      return problem(504, 'STATEMENT_TIMEOUT', 'This takes longer than the plan of the organization allows')
    case '40001':
    case '40P01':
      return problem(503, 'BUSY', 'The change collided with another one; try again')
    default:
      return null
  }
}

/** Fastify's own refusals (malformed JSON, media type, size, URL) carry a 4xx status and a text about the request. */
function describeFramework(error: unknown): Description | null {
  if (!(error instanceof Error) || !('statusCode' in error) || !('code' in error)) return null
  const { statusCode, code } = error
  if (typeof statusCode !== 'number' || typeof code !== 'string') return null
  if (statusCode < 400 || statusCode >= 500) return null
  return problem(statusCode, code.replace(/^FST_(ERR_)?(CTP_)?/, ''), error.message)
}

function problem(status: number, code: string, detail: string, errors?: Problem['errors']): Description {
  return { status, code, detail, ...(errors === undefined ? {} : { errors }) }
}
