import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { strategies, TestInstallation } from './support/installation.ts'

const pairs = strategies.flatMap((from) =>
  strategies.filter((to) => to !== from).map((to): [Strategy, Strategy] => [from, to]),
)

/** Writes without a pause, and knows what was acknowledged. */
class Writer {
  readonly acknowledged: number[] = []
  readonly errors: unknown[] = []
  #stopped = false
  #running: Promise<void>

  constructor(installation: TestInstallation, key: string, first: number) {
    this.#running = this.#write(installation, key, first)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #write(installation: TestInstallation, key: string, first: number): Promise<void> {
    for (let id = first; !this.#stopped; id += 1) {
      try {
        await installation.tenancy
          .tenant(key)
          .query({ text: 'insert into note (id, body) values ($1, $2)', values: [id, `written ${id}`] })
        this.acknowledged.push(id)
      } catch (error) {
        this.errors.push(error)
        return
      }
    }
  }
}

async function versionOf(installation: TestInstallation): Promise<number> {
  const { rows } = await installation.inCatalog(
    `select current_setting('server_version_num')::integer / 10000 as version`,
  )
  return rows[0].version
}

describe.each(strategies)('a tenant moved from %s', (from) => {
  let installation: TestInstallation
  let writer: Writer | undefined

  beforeAll(async () => {
    installation = await TestInstallation.open(from)
  })

  afterAll(async () => {
    await writer?.stop()
    await installation?.close()
  })

  test.each(pairs.filter(([source]) => source === from))(
    '(%s) to %s keeps every acknowledged write, there and back',
    async (_, to) => {
      const { tenancy } = installation
      const one = tenancy.tenant('one')
      await tenancy
        .tenant('two')
        .query(
          `insert into note (id, body) values (${to === 'rls' ? 1 : 2}, 'of two') on conflict do nothing`,
        )
      await one.query('delete from note')
      await one.query(
        "insert into note (id, body, amount) select n, 'first', n / 7.0 from generate_series(-500, -1) as n",
      )
      writer = new Writer(installation, 'one', 1)
      if ((await versionOf(installation)) < 17) {
        await expect(tenancy.moves.start('one', { to })).rejects.toMatchObject({
          code: 'MOVE_REFUSED',
          details: { reasons: expect.stringContaining('moves need 17') },
        })
        return
      }
      const move = await tenancy.moves.start('one', { to })
      expect(move).toMatchObject({ state: 'active', source: { strategy: from }, target: { strategy: to } })
      expect(await tenancy.tenants.placement('one')).toMatchObject({ strategy: to })
      const back = await tenancy.moves.rollback('one')
      expect(back.state).toBe('returned')
      await writer.stop()
      expect(writer.errors).toEqual([])
      const { rows } = await one.query('select id from note where id > 0 order by id')
      expect(rows.map(({ id }) => id)).toEqual(writer.acknowledged)
      expect(await tenancy.tenants.placement('one')).toMatchObject({ strategy: from })
    },
  )
})
