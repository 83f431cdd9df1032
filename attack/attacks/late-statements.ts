import { setTimeout as sleep } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { observe } from '../outcome.ts'

const released = ['CONNECTION_RELEASED']

/** A client that is used after it went back, and statements that nobody waited for. */
async function useAfterRelease(ground: OurGround): Promise<void> {
  const client = await ground.handle('attacker').pool.connect()
  const query = (text: string) => observe(() => client.query({ text, rowMode: 'array' }))
  ground.ledger.note('attacker', 'while it is held', await query('select * from contact'), ['rows'])
  client.release()
  const running = ground.api('victim').try(['rows'], 'select *, pg_sleep(0.05) from contact')
  ground.ledger.note('attacker', 'after release', await query('select * from contact'), released)
  await running
  const second = await observe(async () => {
    client.release()
    return []
  })
  ground.ledger.note('attacker', 'a second release', second, released)
  await ground.api('victim').try(['rows'], 'select * from contact')
}

async function neverAwait(ground: OurGround): Promise<void> {
  const late: Promise<unknown>[] = []
  const ended = [
    'Connection terminated',
    'Connection terminated unexpectedly',
    'read ECONNRESET',
    'write EPIPE',
  ]
  const foreseen = ['rows', ...released, '57P01', ...ended.map((message) => `Error: ${message}`)]
  const listen = (label: string, running: Promise<{ rows: unknown[] }>) => {
    const outcome = observe(async () => {
      const { rows } = await running
      return { command: 'SELECT', rowCount: rows.length, rows } as never
    })
    late.push(outcome.then((seen) => ground.ledger.note('attacker', label, seen, foreseen)))
  }
  await ground
    .handle('attacker')
    .transaction(async (transaction) => {
      listen('never awaited', transaction.query('select *, pg_sleep(0.02) from contact'))
      listen('queued, never awaited', transaction.query('select * from contact'))
      listen(
        'later, never awaited',
        sleep(40).then(() => transaction.query('select * from contact')),
      )
    })
    .catch((error: unknown) => ground.ledger.hear('attacker', String(error)))
  const client = await ground.handle('attacker').pool.connect()
  listen('never awaited', client.query('select *, pg_sleep(0.02) from contact'))
  listen('queued, never awaited', client.query('select * from contact'))
  client.release()
  for (let round = 0; round < 3; round += 1) {
    await ground.api('victim').try(['rows'], 'select *, pg_sleep(0.03) from contact')
  }
  await Promise.all(late)
}

export const lateStatementAttacks: readonly Attack[] = [
  {
    id: 'use-after-release',
    title: 'a client that is used, and released, after it went back to the pool',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const client = await ground.pool.connect()
        client.release()
        await ground.request('victim', 'session').try(['rows'], 'select 1')
        ground.ledger.note(
          'attacker',
          'after release',
          await observe(() => client.query('select * from contact')),
          ['rows'],
        )
      },
    },
    run: useAfterRelease,
  },
  {
    id: 'never-awaited',
    title: "statements nobody waited for, answered while the connection is the victim's",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const client = await ground.pool.connect()
        const late = sleep(20).then(() => observe(() => client.query('select * from contact')))
        client.release()
        await ground.request('victim', 'session').try(['rows'], 'select *, pg_sleep(0.05) from contact')
        ground.ledger.note('attacker', 'never awaited', await late, ['rows'])
      },
    },
    run: neverAwait,
  },
]
