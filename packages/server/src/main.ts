import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createTenancy, QuickScaleError } from '@quickscale/tenancy'
import { startEmbeddedServer } from '@quickscale/tenancy/embedded'
import type { TenantTables } from '@quickscale/tenancy/fastify'
import type { FastifyInstance } from 'fastify'
import { buildApp } from './app.ts'
import { openDemo } from './demo/access.ts'
import { keepConfig } from './demo/config-file.ts'
import { demoModules } from './demo/plans.ts'
import { createProgress } from './demo/progress.ts'
import { provisionTenant, type Resident } from './demo/provision.ts'
import { formatReport } from './demo/report.ts'
import { demoTenants } from './demo/tenants.ts'
import { closeGracefully, createFileMailer, createLogger, defineApplication } from './index.ts'
import { readSettings, type Settings } from './settings.ts'

const INSTALLATION = 'demo'
/** The demo is for this machine. */
const HOST = '127.0.0.1'
/** Ports tried after a taken one. */
const PORTS_MAX = 20
/** How long each part may take to stop; five seconds are all a terminal should wait. */
const stopMsMax = { http: 1_000, tenancy: 1_000, server: 2_500 } as const

interface Started {
  readonly part: keyof typeof stopMsMax
  stop(): Promise<unknown>
}
type OnStarted = (started: Started) => Promise<void>

/** Boots the demo; `onStarted` collects what must be stopped again, in the order it was started. */
async function start(signal: AbortSignal, onStarted: OnStarted): Promise<void> {
  const progress = createProgress(process.stdout)
  const settings = readSettings(process.env, resolve('.quickscale'))
  const ownUrl =
    settings.databaseUrl === null ? await startServer(settings.directory, progress.say, onStarted) : null
  signal.throwIfAborted()
  const application = defineApplication({ modules: demoModules })
  const { masterKey } = settings
  const { migrations } = application
  const tenancy = await createTenancy<TenantTables>({
    databaseUrl: ownUrl ?? settings.databaseUrl ?? '',
    installation: INSTALLATION,
    masterKey,
    migrations,
    seed: (tenant) => application.seed(tenant),
  })
  await onStarted({ part: 'tenancy', stop: () => tenancy.close() })
  progress.say('Migrating')
  await application.migrate(tenancy)
  const residents: Resident[] = []
  for (const demo of demoTenants) {
    signal.throwIfAborted()
    residents.push(
      await provisionTenant(tenancy, demo, (written, total) => progress.count(demo.slug, written, total)),
    )
  }
  const slugs = demoTenants.map(({ slug }) => slug)
  const keyFile = await openDemo(tenancy, slugs, settings.directory)
  signal.throwIfAborted()
  await keepConfig(settings.directory, {
    installation: INSTALLATION,
    migrations,
    ...(settings.masterKeyIsKept && { masterKey }),
    ...(ownUrl !== null && { databaseUrl: ownUrl }),
  })
  const logger = createLogger({ level: 'warn', destination: process.stderr })
  // The embedded server gets the same Ctrl-C: that it is going away is no news.
  signal.addEventListener('abort', () => (logger.level = 'error'))
  const app = await buildApp({
    tenancy,
    application,
    secret: Buffer.from(masterKey, 'base64'),
    baseUrl: `http://localhost:${settings.port}`,
    // A busy machine makes the demo slow; it is to answer all the same.
    eventLoopDelayMsMax: 0,
    mailer: createFileMailer(join(settings.directory, 'outbox')),
    logger,
  })
  await onStarted({ part: 'http', stop: () => closeGracefully(app, stopMsMax.http / 2) })
  const origin = await listen(app, settings)
  console.log(formatReport(residents, origin, { keyFile, directory: settings.directory }))
}

async function startServer(
  directory: string,
  onProgress: (message: string) => void,
  onStarted: OnStarted,
): Promise<string> {
  const server = await startEmbeddedServer({ directory, onProgress })
  await onStarted({ part: 'server', stop: () => server.stop() })
  return server.url
}

async function listen(app: FastifyInstance, settings: Settings): Promise<string> {
  for (let port = settings.port; ; port += 1) {
    try {
      return await app.listen({ host: HOST, port })
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!taken) throw error
      if (settings.portIsFixed)
        throw new Error(`Port ${port} is in use; set PORT to another one`, { cause: error })
      if (port >= settings.port + PORTS_MAX) throw error
    }
  }
}

function explain(error: unknown): string {
  if (error instanceof QuickScaleError) return `${error.message}\n${error.remedy}`
  return error instanceof Error ? error.message : String(error)
}

/** Stops what was started, last first; a part that hangs or fails must not orphan the database server. */
function createStopper() {
  const running: Started[] = []
  let stopping = false
  const stop = async ({ part, stop }: Started) => {
    const overdue = setTimeout(stopMsMax[part], 'takes too long', { ref: false })
    const problem = await Promise.race([stop().then(() => null, explain), overdue])
    if (problem !== null) {
      console.error(`Stopping ${part}: ${problem}`)
      process.exitCode = 130
    }
  }
  return {
    async add(started: Started): Promise<void> {
      if (stopping) await stop(started)
      else running.push(started)
    },
    async stopAll(): Promise<void> {
      stopping = true
      for (const started of running.splice(0).reverse()) await stop(started)
    },
  }
}

async function main(): Promise<void> {
  const stopper = createStopper()
  const abort = new AbortController()
  const stopped = new Promise<void>((done) => {
    // A terminal and npm may both deliver the same Ctrl-C; the handlers stay, and only the first counts.
    const onSignal = () => {
      if (abort.signal.aborted) return
      console.log('\nStopping')
      abort.abort()
      stopper.stopAll().then(done)
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
  try {
    await start(abort.signal, stopper.add)
  } catch (error) {
    if (!abort.signal.aborted) {
      console.error(`\n${explain(error)}`)
      process.exitCode = 1
      await stopper.stopAll()
      return
    }
  }
  await stopped
  process.exit()
}

await main()
