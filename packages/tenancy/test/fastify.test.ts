import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { tenantPlugin } from '../src/adapters/fastify.ts'
import { resolveFromHost } from '../src/resolve/host.ts'
import { resolveFromPath } from '../src/resolve/path.ts'
import { createTenancy, type Tenancy } from '../src/tenancy.ts'

let tenancy: Tenancy
let app: FastifyInstance

beforeAll(async () => {
  tenancy = await createTenancy({
    databaseUrl: inject('databaseUrl'),
    installation: `fastify_${randomBytes(3).toString('hex')}`,
    masterKey: randomBytes(32).toString('base64'),
    migrations: [],
  })
  app = fastify()
  await app.register(tenantPlugin, {
    tenancy,
    resolvers: [resolveFromPath(), resolveFromHost({ baseDomain: 'example.com' })],
  })
  app.get('/open', () => 'open')
  for (const prefix of ['/t/:slug', '']) {
    await app.register(
      async (scope) => {
        scope.get('/where', ({ tenant, params }) => ({ key: tenant.key, params }))
      },
      { prefix },
    )
  }
})
afterAll(async () => {
  await app.close()
  await tenancy.close()
})

async function ask(url: string, host = 'example.com') {
  const reply = await app.inject({ url, headers: { host } })
  return { status: reply.statusCode, body: reply.body === 'open' ? reply.body : reply.json() }
}

it('gives a request the tenant of its path or host, in every scope', async () => {
  expect((await ask('/t/acme/where')).body.key).toBe('acme')
  expect((await ask('/where', 'globex.example.com:8080')).body.key).toBe('globex')
  expect((await ask('/t/acme/where', 'acme.example.com')).body.key).toBe('acme')
})

it('leaves routes without a tenant alone', async () => {
  expect(await ask('/open')).toEqual({ status: 200, body: 'open' })
})

it('answers with the status of the error', async () => {
  expect(await ask('/where')).toMatchObject({ status: 400, body: { code: 'TENANT_MISSING' } })
  expect(await ask('/t/NO/where')).toMatchObject({ status: 400, body: { code: 'TENANT_KEY_INVALID' } })
  expect(await ask('/t//where')).toMatchObject({ status: 400, body: { code: 'TENANT_KEY_INVALID' } })
})

it('refuses a request that names two tenants, however it is spelled', async () => {
  for (const url of ['/t/acme/where', '/%74/acme/where', '/t/%61cme/where', '/t//where']) {
    const answer = await ask(url, 'globex.example.com')
    expect(answer).toMatchObject({ status: 400, body: { code: 'TENANT_AMBIGUOUS' } })
  }
})

it('refuses an absolute request target, whose host nothing else compares', async () => {
  // inject() takes an absolute URL apart; a raw request line does not.
  const { createConnection } = await import('node:net')
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  const text = await new Promise<string>((done, failed) => {
    let received = ''
    const socket = createConnection(Number(port), '127.0.0.1')
    socket.on('error', failed).on('data', (chunk) => {
      received += chunk
    })
    socket.on('end', () => done(received))
    const request = [
      'GET http://acme.example.com/t/acme/where HTTP/1.1',
      'Host: example.com',
      'Connection: close',
    ]
    socket.end(`${request.join('\r\n')}\r\n\r\n`)
  })
  expect(text).toMatch(/^HTTP\/1\.1 400 /)
  expect(text).toContain('TENANT_AMBIGUOUS')
})

it('reads from every path what the router reads', async () => {
  const spelled = (char: string) =>
    fc.constantFrom(
      char,
      `%${char.charCodeAt(0).toString(16)}`,
      `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
    )
  const word = (text: string) => fc.tuple(...[...text].map(spelled)).map((chars) => chars.join(''))
  const slash = fc.constantFrom('/', '/', '/', '/', '//', '%2f')
  const tail = fc.constantFrom('', '?', '?x=/t/globex/where', '#/t/globex/where', '/')
  const paths = fc
    .tuple(
      slash,
      word('t'),
      slash,
      fc.oneof({ arbitrary: word('acme'), weight: 4 }, fc.constant('')),
      slash,
      word('where'),
      tail,
    )
    .map((parts) => parts.join(''))
  let matched = 0
  await fc.assert(
    fc.asyncProperty(paths, async (path) => {
      const neutral = await ask(path)
      if (neutral.status === 200) {
        matched += 1
        expect(neutral.body.key).toBe(neutral.body.params.slug)
      }
      expect((await ask(path, 'globex.example.com')).status).not.toBe(200)
    }),
    { numRuns: 500 },
  )
  expect(matched).toBeGreaterThan(50)
})
