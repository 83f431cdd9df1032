// Limits that several processes count in one Redis: npm run test:redis.
import { randomBytes } from 'node:crypto'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, afterEach, beforeAll, expect, inject, it } from 'vitest'
import { buildApp, createFileMailer } from '../src/index.ts'
import { send } from './support/client.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'
import { join, makePerson, type TestPerson } from './support/people.ts'
import { type RedisServer, startRedis } from './support/redis-server.ts'

let installation: TestInstallation
let ann: TestPerson
let redis: RedisServer
const apps: FastifyInstance[] = []

beforeAll(async () => {
  installation = await installApplication(inject('databaseUrl'), 'rls', { closed: true })
  ann = await makePerson(installation.tenancy, 'Ann')
  for (const slug of ['one', 'two']) await join(installation.tenancy, slug, ann, 'owner')
  await installation.tenancy.members.deliver()
  redis = await startRedis()
})
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close()
})
afterAll(async () => {
  await redis.close()
  await installation.remove()
})

const windowSeconds = 3_600
const many = { requestsPerSecond: 1_000 }

/** A process with a connection of its own, whose tenants may ask ten times in a window that does not end here. */
async function open(): Promise<FastifyInstance> {
  const app = await buildApp({
    tenancy: installation.tenancy,
    secret: randomBytes(32),
    baseUrl: 'http://localhost',
    mailer: createFileMailer(installation.outbox),
    eventLoopDelayMsMax: 0,
    worker: false,
    limits: {
      windowSeconds,
      plans: { only: { requestsPerSecond: 10 / windowSeconds } },
      user: many,
      address: many,
      signIn: { windowSeconds, perAddress: 1_000, perAccount: 2 },
      store: { kind: 'redis', client: await redis.connect() },
    },
  })
  apps.push(app)
  return app
}

async function statuses(app: FastifyInstance, times: number, options: InjectOptions): Promise<number[]> {
  const answers = await Promise.all(Array.from({ length: times }, () => send(app, options)))
  return answers.map(({ status }) => status).sort()
}
const repeated = (...counts: [status: number, times: number][]) =>
  counts.flatMap(([status, times]) => Array.from({ length: times }, () => status))
const contacts = (slug: string): InjectOptions => ({ url: `/t/${slug}/contacts`, headers: ann.headers })

it('processes count together, each tenant and each account on its own', async () => {
  const [first, second] = [await open(), await open()]
  expect(await statuses(first, 6, contacts('one'))).toEqual(repeated([200, 6]))
  expect(await statuses(second, 6, contacts('one'))).toEqual(repeated([200, 4], [429, 2]))
  expect(await statuses(first, 1, contacts('one'))).toEqual([429])
  expect(await statuses(second, 10, contacts('two'))).toEqual(repeated([200, 10]))
  const attempt = (email: string): InjectOptions => ({
    method: 'POST',
    url: '/auth/sign-in',
    payload: { email, password: 'not the password' },
  })
  expect(await statuses(first, 2, attempt('bob@example.test'))).toEqual(repeated([401, 2]))
  expect(await statuses(second, 2, attempt('bob@example.test'))).toEqual(repeated([429, 2]))
  expect(await statuses(second, 1, attempt('eve@example.test'))).toEqual([401])
})

it('each process counts on its own while Redis is away, and together again when it is back', async () => {
  const [first, second] = [await open(), await open()]
  await redis.kill()
  expect(await statuses(first, 12, contacts('two'))).toEqual(repeated([200, 10], [429, 2]))
  expect(await statuses(second, 12, contacts('two'))).toEqual(repeated([200, 10], [429, 2]))
  await redis.start()
  const [third, fourth] = [await open(), await open()]
  expect(await statuses(third, 6, contacts('one'))).toEqual(repeated([200, 6]))
  expect(await statuses(fourth, 6, contacts('one'))).toEqual(repeated([200, 4], [429, 2]))
})
