import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { MoverProcess } from '../../../test/support/mover-process.ts'
import { installApplication, type TestInstallation } from './support/installation.ts'

describe('a move whose process was killed', () => {
  let installation: TestInstallation
  let lock: pg.Client
  let mover: MoverProcess

  beforeAll(async () => {
    installation = await installApplication(inject('databaseUrl'), 'rls', { tenants: ['one'] })
  })

  afterAll(async () => {
    await mover?.kill()
    await lock?.end()
    await installation?.remove()
  })

  /** Without a writer that ends, no tenant is switched. */
  async function holdUp(): Promise<pg.Client> {
    const url = new URL(inject('databaseUrl'))
    url.pathname = `/${(await installation.tenancy.tenants.placement('one')).databaseName}`
    const client = new pg.Client({ connectionString: url.href })
    await client.connect()
    await client.query(
      "begin; select pg_advisory_xact_lock_shared(hashtextextended('quickscale unscoped writers', 0))",
    )
    return client
  }

  it('is gone on with by a server, and by the next one when that is closed', async () => {
    const { tenancy, config } = installation
    const look = () => tenancy.moves.get('one')
    const attempted = (attempts: number) => expect.poll(async () => (await look()).attempts).toBe(attempts)
    await tenancy.tenant('one').query("insert into companies (name) values ('kept')")
    lock = await holdUp()
    mover = new MoverProcess({ config, key: 'one', destination: { to: 'schema', rollbackWindowMs: 0 } })
    mover.order('start')
    const state = async () => (await tenancy.moves.list({ tenant: 'one' }))[0]?.state
    await expect.poll(state).toBe('streaming')
    const first = await installation.open({ moves: { copyShare: 1 } })
    await mover.kill()
    await attempted(1)
    await first.close()
    // Closing is no attempt, and does not stop it.
    expect(await look()).toMatchObject({ state: 'streaming', attempts: 0, stoppedAt: null, retryAt: null })
    const next = await installation.open({ moves: true })
    await attempted(1)
    await lock.end()
    await expect.poll(state).toBe('done')
    await next.close()
    expect(
      (await tenancy.tenant('one').query("select name from companies where name = 'kept'")).rows,
    ).toHaveLength(1)
  })
})
