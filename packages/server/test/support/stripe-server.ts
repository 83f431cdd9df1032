import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { type Form, readForm } from './stripe-form.ts'
import { StripeState } from './stripe-state.ts'

/** A server that speaks Stripe's HTTP for the calls that the application makes, and keeps what they have made. */
export interface StripeServer {
  readonly url: string
  readonly state: StripeState
  /** Requests that were answered, as `POST /v1/customers`. */
  readonly requests: readonly string[]
  /** So many of the next requests to a path fail, as a server does that is down. */
  failNext(path: string, count: number): void
  close(): Promise<void>
}

export const SECRET_KEY = 'sk_test_quickscale'

interface Outcome {
  readonly status: number
  readonly body: object
}

export async function startStripeServer(): Promise<StripeServer> {
  const state = new StripeState()
  const requests: string[] = []
  /** Answers by Idempotency-Key, as Stripe keeps them for a day. */
  const kept = new Map<string, { request: string; outcome: Outcome }>()
  let failing = { path: '', count: 0 }
  const server = createServer(async (request, response) => {
    const text = await readText(request)
    const outcome = answer(request, text)
    requests.push(`${request.method} ${request.url?.split('?')[0]}`)
    response.writeHead(outcome.status, {
      'content-type': 'application/json',
      'request-id': `req_${randomUUID()}`,
    })
    response.end(JSON.stringify(outcome.body))
  })
  const answer = (request: IncomingMessage, text: string): Outcome => {
    if (request.headers.authorization !== `Bearer ${SECRET_KEY}`)
      return problem(401, { message: 'Invalid API Key provided' })
    if (failing.count > 0 && request.url === failing.path) {
      failing.count -= 1
      return problem(500, { type: 'api_error', message: 'down' })
    }
    const key = request.headers['idempotency-key']
    const asked = `${request.method} ${request.url} ${text}`
    const before = typeof key === 'string' && request.method === 'POST' ? kept.get(key) : undefined
    if (before !== undefined && before.request !== asked)
      return problem(400, {
        type: 'idempotency_error',
        message: 'Keys can only be used with the same parameters',
      })
    const outcome = before?.outcome ?? route(state, request, text)
    if (typeof key === 'string' && request.method === 'POST') kept.set(key, { request: asked, outcome })
    return outcome
  }
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    state,
    requests,
    failNext: (path, count) => {
      failing = { path, count }
    },
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}

type Handler = (state: StripeState, form: Form, id: string) => object | null

const handlers: readonly (readonly [string, RegExp, Handler])[] = [
  ['POST', /^\/v1\/customers$/, (state, form) => state.makeCustomer(form)],
  ['POST', /^\/v1\/customers\/(\w+)$/, (state, form, id) => state.changeCustomer(id, form)],
  ['GET', /^\/v1\/customers\/(\w+)$/, (state, _form, id) => state.findCustomer(id)],
  ['GET', /^\/v1\/checkout\/sessions$/, (state, form) => listOf(state.openSessionsOf(String(form.customer)))],
  ['POST', /^\/v1\/checkout\/sessions\/(\w+)\/expire$/, (state, _form, id) => state.expireSession(id)],
  ['GET', /^\/v1\/checkout\/sessions\/(\w+)$/, (state, _form, id) => state.sessions.get(id) ?? null],
  ['POST', /^\/v1\/checkout\/sessions$/, (state, form) => state.makeSession(form)],
  ['POST', /^\/v1\/billing_portal\/sessions$/, (state, form) => state.makePortal(form)],
  ['GET', /^\/v1\/subscriptions$/, (state, form) => listOf(state.subscriptionsOf(String(form.customer)))],
  ['GET', /^\/v1\/subscriptions\/(\w+)$/, (state, _form, id) => state.subscriptions.get(id) ?? null],
  ['POST', /^\/v1\/subscriptions\/(\w+)$/, (state, form, id) => state.changeSubscription(id, form)],
  ['DELETE', /^\/v1\/subscriptions\/(\w+)$/, (state, _form, id) => state.endSubscription(id)],
  ['GET', /^\/v1\/invoices$/, (state, form) => state.invoicesOf(form)],
  ['POST', /^\/v1\/billing\/meter_events$/, (state, form) => state.meter(form)],
]

function route(state: StripeState, { method, url = '' }: IncomingMessage, text: string): Outcome {
  const { pathname, search } = new URL(url, 'http://stripe')
  for (const [verb, path, handle] of handlers) {
    const [matched, id = ''] = path.exec(pathname) ?? []
    if (matched === undefined || verb !== method) continue
    const form = verb === 'GET' ? readForm(search.slice(1)) : readForm(text)
    const body = handle(state, form, id)
    if (body instanceof Error)
      return problem(402, { type: 'card_error', code: 'card_declined', message: body.message })
    return body === null
      ? problem(404, { code: 'resource_missing', message: `No such object: '${id || JSON.stringify(form)}'` })
      : { status: 200, body }
  }
  return problem(404, { message: `Unrecognized request URL (${method}: ${pathname})` })
}

function problem(status: number, error: object): Outcome {
  return { status, body: { error: { type: 'invalid_request_error', ...error } } }
}

const listOf = (data: readonly object[]) => ({ object: 'list', url: '', has_more: false, data })

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}
