import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { gzipSync } from 'node:zlib'
import { createTenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { problem } from '../src/api/index.ts'
import { buildApp, createFileMailer } from '../src/index.ts'

/** Nothing is installed: no request of this file gets as far as a tenant's rows. */
const tenancy = await createTenancy<TenantTables>({
  databaseUrl: inject('databaseUrl'),
  installation: 'never_installed',
  masterKey: randomBytes(32).toString('base64'),
  migrations: [],
})
let app: FastifyInstance
let port = 0

beforeAll(async () => {
  app = await buildApp({
    tenancy,
    secret: new Uint8Array(32),
    baseUrl: 'http://localhost',
    mailer: createFileMailer(tmpdir()),
    eventLoopDelayMsMax: 0,
    worker: false,
  })
  port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
})
afterAll(async () => {
  await app.close()
  await tenancy.close()
})

interface Heard {
  readonly status: number
  readonly headers: string
  readonly text: string
}

/** What a connection answers to these bytes until it is ended. */
async function say(...parts: readonly (string | Buffer)[]): Promise<Heard> {
  const socket = connect(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  // Whatever was said may be refused before all of it was heard.
  socket.on('error', () => undefined)
  const ended = new Promise((done) => socket.once('close', done))
  socket.write(Buffer.concat(parts.map((part) => Buffer.from(part as string))))
  await ended
  const [head = '', text = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), headers: head.toLowerCase(), text }
}

function post(headers: string, body: string | Buffer): Promise<Heard> {
  const length = Buffer.byteLength(body)
  return say(
    `POST /auth/sign-in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: ${length}\r\n${headers}\r\n\r\n`,
    body,
  )
}

function expectProblem({ status, headers, text }: Heard, expected: { status: number; code: string }): void {
  expect([status, headers]).toEqual([expected.status, expect.stringContaining('application/problem+json')])
  const body = problem.parse(JSON.parse(text))
  expect(body).toMatchObject(expected)
  expect(headers).toContain(`x-request-id: ${body.instance.replace('urn:uuid:', '')}`)
  expect(headers).toContain('x-content-type-options: nosniff')
}

const json = JSON.stringify({ email: 'a@b.example', password: 'x' })

describe('a body', () => {
  it.each([
    ['gzip', gzipSync(json)],
    ['br', json],
    ['identity, gzip', gzipSync(json)],
  ])('that is encoded as %s is refused as that', async (encoding, body) => {
    const answer = await post(`Content-Type: application/json\r\nContent-Encoding: ${encoding}`, body)
    expectProblem(answer, { status: 415, code: 'CONTENT_ENCODING_UNSUPPORTED' })
    expect(answer.headers).toContain('accept-encoding: identity')
  })

  it.each(['iso-8859-1', '"UTF-16LE"', 'utf-8; charset=latin1'])(
    'in the charset %s is refused as that',
    async (charset) => {
      const answer = await post(`Content-Type: application/json; charset=${charset}`, json)
      expectProblem(answer, { status: 415, code: 'CHARSET_UNSUPPORTED' })
    },
  )

  it.each(['', '; charset=utf-8', ';charset="UTF-8"'])('as JSON%s is read', async (parameter) => {
    const answer = await post(
      `Content-Type: application/json${parameter}\r\nContent-Encoding: identity`,
      '{}',
    )
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED' })
  })

  it('that is no UTF-8 is refused, not changed', async () => {
    const bytes = Buffer.from(json.replace('"x"', '"café"'), 'latin1')
    expectProblem(await post('Content-Type: application/json', bytes), {
      status: 400,
      code: 'INVALID_JSON_BODY',
    })
  })
})

describe('what is no request that could be answered by a route', () => {
  it.each<[string, number, string, string]>([
    ['no HTTP', 400, 'REQUEST_MALFORMED', 'NONSENSE\r\n\r\n'],
    [
      'a header that is none',
      400,
      'REQUEST_MALFORMED',
      'GET /livez HTTP/1.1\r\nHost: a\r\nno header\r\n\r\n',
    ],
    [
      'two lengths of one body',
      400,
      'REQUEST_MALFORMED',
      'POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'headers without end',
      431,
      'HEADERS_TOO_LARGE',
      `GET /livez HTTP/1.1\r\nHost: a\r\nX-Much: ${'x'.repeat(20_000)}\r\n\r\n`,
    ],
    ['no Host', 400, 'HOST_MISSING', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n'],
  ])('is answered as a problem all the same: %s', async (_what, status, code, bytes) => {
    expectProblem(await say(bytes), { status, code })
  })

  it('is answered as a problem all the same: a request that does not come to its end in time', async () => {
    const socket = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => undefined)
    const accepted = new Promise<import('node:net').Socket>((done) => app.server.once('connection', done))
    const ended = new Promise((done) => socket.once('close', done))
    const error = Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
    app.server.emit('clientError', error, await accepted)
    await ended
    const [head = '', text = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n')
    expectProblem(
      { status: Number(head.split(' ')[1]), headers: head.toLowerCase(), text },
      { status: 408, code: 'REQUEST_TIMEOUT' },
    )
  })

  it('has a time in which it must have come', () => {
    expect(app.server.requestTimeout).toBeGreaterThan(0)
  })
})
