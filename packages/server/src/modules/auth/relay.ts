import type { FastifyReply, FastifyRequest } from 'fastify'
import { ProblemError } from '../../http/problem-error.ts'
import { BASE_PATH, type BetterAuth } from './better-auth.ts'

interface Errand {
  readonly path: string
  readonly method?: 'GET' | 'POST'
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: object
}

/** Of what better-auth is told about the request; the rest is nobody's business. */
const passedOn = ['cookie', 'user-agent'] as const

/** Hands a request that our route has validated to better-auth, and its cookies back. */
export type Relay = (request: FastifyRequest, reply: FastifyReply, errand: Errand) => Promise<unknown>

/** @param onChange sessions may have ended */
export function createRelay(auth: Pick<BetterAuth, 'handler'>, baseUrl: string, onChange: () => void): Relay {
  return async (request, reply, { path, method = 'POST', query = {}, body = {} }) => {
    const url = new URL(`${BASE_PATH}${path}`, baseUrl)
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value)
    }
    const headers = new Headers({ 'x-forwarded-for': request.ip, origin: new URL(baseUrl).origin })
    for (const name of passedOn) {
      const value = request.headers[name]
      if (value !== undefined) headers.set(name, value)
    }
    if (method === 'POST') headers.set('content-type', 'application/json')
    const answer = await auth.handler(
      new Request(url, { method, headers, ...(method === 'POST' && { body: JSON.stringify(body) }) }),
    )
    if (answer.ok) onChange()
    const cookies = answer.headers.getSetCookie()
    if (cookies.length > 0) reply.header('set-cookie', cookies)
    const location = answer.headers.get('location')
    if (location !== null) {
      reply.status(302).header('location', location)
      return null
    }
    const text = await answer.text()
    const parsed: unknown = text === '' ? null : JSON.parse(text)
    if (!answer.ok) throw refusal(answer.status, parsed, reply, answer.headers.get('x-retry-after'))
    return parsed
  }
}

/** better-auth's code and sentence; its failures are ours, and say nothing. */
function refusal(status: number, body: unknown, reply: FastifyReply, retryAfter: string | null): Error {
  if (status >= 500) return new Error(`better-auth answers ${status}`)
  if (retryAfter !== null) reply.header('retry-after', retryAfter)
  const { code, message } = Object(body) as { code?: unknown; message?: unknown }
  const fallback = status === 429 ? 'TOO_MANY_REQUESTS' : 'REFUSED'
  return new ProblemError(
    status,
    typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : fallback,
    typeof message === 'string' ? message : 'This was refused',
  )
}
