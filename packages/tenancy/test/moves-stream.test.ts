import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { limits } from '../src/limits.ts'
import { formatLsn, parseLsn } from '../src/moves/stream/pgoutput.ts'
import { dropSlot } from '../src/moves/stream/slot.ts'
import { type Subscription, subscribe } from '../src/moves/stream/subscription.ts'

describe('a stream of a tenant that writes nothing', () => {
  const name = `move_stream_${process.pid}`
  const connection = { connectionString: inject('databaseUrl') }
  const client = new pg.Client(connection)

  beforeAll(async () => {
    await client.connect()
    await client.query(`create table ${name} (id integer primary key)`)
    await client.query(`create table ${name}_others (id integer primary key)`)
    await client.query(`create publication ${name} for table ${name}`)
  })
  afterAll(async () => {
    await dropSlot(client, name)
    await client.query(`drop publication ${name}; drop table ${name}, ${name}_others`)
    await client.end()
  })

  test('says how far the log of the others has been read', async () => {
    const { rows } = await client.query('select lsn from pg_create_logical_replication_slot($1, $2)', [
      name,
      'pgoutput',
    ])
    const [positions, messages]: [bigint[], string[]] = [[], []]
    let lost: Error | null = null
    const stream: Subscription = await subscribe(
      { connection, slot: name, publication: name, from: rows[0].lsn },
      {
        onMessage: ({ kind }) => void messages.push(kind),
        onPosition: (lsn) => void positions.push(lsn),
        onLost: (error) => {
          lost = error
        },
      },
    )
    try {
      await client.query(`insert into ${name}_others select generate_series(1, 1000)`)
      const written = await client.query('select pg_current_wal_flush_lsn()::text as lsn')
      const reached = () => positions.some((lsn) => lsn >= parseLsn(written.rows[0].lsn))
      await expect.poll(reached, { timeout: 3 * limits.streamPingMs }).toBe(true)
      expect(positions.map(formatLsn)).toEqual([...positions].sort((a, b) => (a < b ? -1 : 1)).map(formatLsn))
      expect([messages.filter((kind) => kind === 'insert'), lost]).toEqual([[], null])
    } finally {
      await stream.close()
    }
  })
})
