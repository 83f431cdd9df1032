import { randomBytes } from 'node:crypto'
import { request as open } from 'node:http'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyInstance } from 'fastify'
import { afterAll, afterEach, describe, expect, inject, it } from 'vitest'
import { buildApp, closeGracefully, createFileMailer, createLogger, defineApplication } from '../src/index.ts'
import { send } from './support/client.ts'
import { openGate } from './support/open-gate.ts'

/** Nothing is installed: no request of this file asks for a tenant's rows. */
const tenancy = await createTenancy<TenantTables>({
  databaseUrl: inject('databaseUrl'),
  installation: 'never_installed',
  masterKey: randomBytes(32).toString('base64'),
  migrations: [],
})
afterAll(() => tenancy.close())
let app: FastifyInstance | undefined
afterEach(async () => await app?.close())

const build = async (options: Partial<Parameters<typeof buildApp>[0]> = {}) => {
  app = await buildApp({
    tenancy,
    gatekeeper: openGate,
    secret: new Uint8Array(32),
    baseUrl: 'http://localhost',
    mailer: createFileMailer(tmpdir()),
    eventLoopDelayMsMax: 0,
    ...options,
  })
  return app
}

describe('the modules of an application', () => {
  it('all come when none is named', () => {
    expect(defineApplication().modules.map(({ name }) => name)).toEqual([
      'platform',
      'auth',
      'teams',
      'crm',
      'blog',
      'billing',
    ])
  })

  it('come alone, with what they need', async () => {
    const application = defineApplication({ modules: { blog: {} } })
    expect(application.modules.map(({ name }) => name)).toEqual(['platform', 'teams', 'blog'])
    const routes = (await build({ application })).printRoutes()
    expect(routes).toContain('posts')
    expect(routes).not.toContain('contacts')
    expect(application.migrations).toHaveLength(3)
  })

  it('stay away when they are left out', () => {
    const { modules } = defineApplication({ modules: { crm: false } })
    expect(modules.map(({ name }) => name)).not.toContain('crm')
  })

  it.each([
    [{ crn: {} }, 'modules.crn is not a known key, did you mean crm?'],
    [
      { crm: { pipelineStage: [] } },
      'modules.crm.pipelineStage is not a known key, did you mean pipelineStages?',
    ],
    [{ crm: { pipelineStages: [] } }, 'modules.crm.pipelineStages'],
    [{ crm: { pipelineStages: ['Won', 'Won'] } }, 'must not name a stage twice'],
    [{ crm: 1 }, 'modules.crm'],
    [{ crm: {}, teams: false }, 'modules.teams is left out, but another module needs it'],
  ])('are refused as %j', (modules, message) => {
    expect(() => defineApplication({ modules })).toThrow(message)
    expect(() => defineApplication({ modules })).toThrow('CONFIG_INVALID')
  })
})

describe('the server', () => {
  it('says that it runs, and that it is not ready where nothing is installed', async () => {
    const down = await build({ application: defineApplication({ modules: { crm: {} } }) })
    expect((await send(down, { url: '/livez' })).body).toEqual({ status: 'ok' })
    const { status, body } = await send(down, { url: '/readyz' })
    expect([status, body.code]).toEqual([503, 'NOT_READY'])
  })

  it('names each request, and sends headers that keep browsers from mischief', async () => {
    const { headers } = await send(await build(), {
      url: '/livez',
      headers: { origin: 'https://evil.example' },
    })
    expect(headers).toMatchObject({
      'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'strict-transport-security': expect.stringContaining('max-age'),
    })
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('lets pages of configured origins in, and no others', async () => {
    const built = await build({ origins: ['https://app.example'] })
    const ask = async (origin: string) =>
      (
        await send(built, {
          method: 'OPTIONS',
          url: '/t/one/companies',
          headers: { origin, 'access-control-request-method': 'POST' },
        })
      ).headers['access-control-allow-origin']
    expect([await ask('https://app.example'), await ask('https://evil.example')]).toEqual([
      'https://app.example',
      undefined,
    ])
    // What is kept for one origin is not for another.
    const { vary } = (await send(built, { url: '/livez', headers: { origin: 'https://app.example' } }))
      .headers
    expect(String(vary).split(', ')).toEqual(expect.arrayContaining(['Origin', 'authorization', 'cookie']))
  })

  it('writes neither secrets nor query strings into its log', async () => {
    const lines: string[] = []
    const logger = createLogger({ destination: { write: (line: string) => void lines.push(line) } })
    const built = await build({ logger })
    await send(built, {
      url: '/livez?token=hush',
      headers: { authorization: 'Bearer hush', cookie: 'a=hush' },
    })
    built.log.info({ headers: { authorization: 'hush' }, password: 'hush', body: { token: 'hush' } }, 'x')
    const asked = lines.map((line) => JSON.parse(line)).find(({ req }) => req !== undefined)
    expect(asked).toMatchObject({ reqId: expect.any(String), req: { method: 'GET', url: '/livez' } })
    expect(lines.join('')).not.toContain('hush')
  })

  it('answers what it has begun before it ends, and ends what takes too long', async () => {
    const built = await build()
    let begun = 0
    built.get('/slow/:ms', async ({ params }) => {
      begun += 1
      await sleep(Number(Object(params).ms))
      return 'done'
    })
    const origin = await built.listen({ host: '127.0.0.1', port: 0 })
    const ask = (ms: number) =>
      new Promise<string>((done) => {
        open(`${origin}/slow/${ms}`, (reply) => reply.on('data', (data) => done(String(data))))
          .on('error', () => done('ended'))
          .end()
      })
    const answers = [ask(200), ask(60_000)]
    while (begun < 2) await sleep(5)
    expect(await closeGracefully(built, 1_000)).toBe(false)
    expect(await Promise.all(answers)).toEqual(['done', 'ended'])
  })
})

describe('the document', () => {
  it('says of every route who may call it, and shows each once', async () => {
    const { body } = await send(await build(), { url: '/openapi.json' })
    expect(body.openapi).toBe('3.1.0')
    const operations = Object.entries(Object(body.paths)).flatMap(([path, methods]) =>
      Object.entries(Object(methods)).map(([method, operation]) => ({ path, method, ...Object(operation) })),
    )
    expect(operations.length).toBeGreaterThan(50)
    for (const operation of operations) {
      expect(operation['x-access'], `${operation.method} ${operation.path}`).toMatch(
        /^(anyone|user|viewer|member|admin|owner)$/,
      )
      expect(operation.summary).toMatch(/\w/)
      expect(operation.responses.default.content).toHaveProperty('application/problem+json')
    }
    const names = operations.map(({ operationId }) => operationId)
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    expect(names).toContain('deleteContactsByIdTagsByTagId')
    const contact = operations.find(({ path, method }) => path === '/t/{slug}/contacts' && method === 'post')
    expect(contact.requestBody.content['application/json'].schema.required).toContain('email')
    expect(contact.responses['201']).toBeDefined()
    const picture = operations.find(({ path, method }) => path === '/t/{slug}/media' && method === 'post')
    expect(picture.requestBody).toEqual({
      required: true,
      content: Object.fromEntries(
        ['jpeg', 'png', 'webp', 'gif'].map((type) => [
          `image/${type}`,
          { schema: { type: 'string', format: 'binary' } },
        ]),
      ),
    })
  })

  it('has a page', async () => {
    const page = await (await build()).inject({ url: '/reference/' })
    expect([page.statusCode, page.headers['content-type']]).toEqual([
      200,
      expect.stringContaining('text/html'),
    ])
  })
})
