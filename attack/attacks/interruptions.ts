import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Attack } from '../attack.ts'
import type { Ground, OurGround } from '../ground.ts'
import { observe } from '../outcome.ts'
import type { SeedGround } from '../seed-ground.ts'

const patienceMs = 3_000
const slow = 'select pg_sleep(4)'

type Query = (text: string) => Promise<unknown>

/** Ends the sleeping statement from outside, as an operator or a failover does. */
async function endSleeper({ owner }: Ground, how: 'cancel' | 'terminate'): Promise<void> {
  const until = Date.now() + patienceMs
  for (;;) {
    const { rows } = await owner.query(
      `select pg_${how}_backend(pid) as done from pg_stat_activity
       where pid <> pg_backend_pid() and state = 'active' and query like '%pg_sleep(4)%'`,
    )
    if (rows.some(({ done }) => done)) return
    if (Date.now() > until) throw new Error('nobody sleeps')
    await sleep(10)
  }
}

/** A transaction of the library, and one written by hand that gives its connection back as it is. */
const units: readonly ((ground: OurGround, work: (query: Query) => Promise<void>) => Promise<unknown>)[] = [
  (ground, work) =>
    ground.handle('victim').transaction((transaction) => work((text) => transaction.query(text))),
  async (ground, work) => {
    const client = await ground.handle('victim').pool.connect()
    try {
      await client.query('begin')
      await work((text) => client.query(text))
    } finally {
      client.release()
    }
  },
]

/** The victim's work ends in its middle; its connection, or what is made in its place, is the attacker's next. */
async function interruptVictim(
  ground: OurGround,
  ended: readonly string[],
  { sleeps, end }: { sleeps: (query: Query) => Promise<unknown>; end?: () => Promise<void> },
): Promise<void> {
  const mark = `half done by ${ground.victim.canary}`
  for (const unit of units) {
    const running = observe(async () => {
      await unit(ground, async (query) => {
        await query(`insert into note (body) values ('${mark}')`)
        await sleeps(query)
      })
      return []
    })
    await end?.()
    ground.ledger.note('victim', 'an interrupted transaction', await running, ended)
    const door = ground.api()
    await door.try(['rows'], 'select * from note')
    await door.try(['rows'], `insert into note (body) values ('after the interruption')`)
    await ground.transact('attacker', ['rows'], async (inside) => {
      await inside.try(['rows'], 'select * from contact')
    })
    const { rows } = await ground.api('victim').try(['rows'], `select id from note where body = '${mark}'`)
    if (rows.length > 0) ground.ledger.leak('the attacker committed what the victim had left half done')
  }
}

/** A transaction as it is often written: the setting is local to it, the client given back whatever has happened. */
async function carelessTransaction(
  ground: SeedGround,
  work: (client: pg.PoolClient) => Promise<unknown>,
): Promise<void> {
  const client = await ground.pool.connect()
  try {
    await client.query('begin')
    await client.query(`select set_config('app.current_tenant_id', $1, true)`, [ground.victim.id])
    await work(client)
  } catch (error) {
    ground.ledger.hear('victim', String(error))
  } finally {
    client.release()
  }
}

export const interruptionAttacks: readonly Attack[] = [
  {
    id: 'after-timeout',
    title: "the connection on which the victim's statement has just timed out",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        await carelessTransaction(ground, (client) =>
          client.query(Object.assign({ text: 'select pg_sleep(0.2)' }, { query_timeout: 20 })),
        )
        await ground.request('attacker', 'none').try(['rows'], 'select * from note')
      },
    },
    run: (ground) =>
      interruptVictim(ground, ['57014'], {
        sleeps: async (query) => {
          await query(`set local statement_timeout = '20ms'`)
          await query(slow)
        },
      }),
  },
  {
    id: 'after-cancel',
    title: "the connection on which the victim's statement has just been cancelled",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        await ground.request('attacker', 'session').try(['rows'], 'select * from note')
        const client = await ground.pool.connect()
        await client.query('begin')
        // For the session, but the cancelled transaction takes it back: the attacker's is in force again.
        await client.query(`select set_config('app.current_tenant_id', $1, false)`, [ground.victim.id])
        const ended = observe(() => client.query(slow))
        await endSleeper(ground, 'cancel')
        ground.ledger.note('victim', slow, await ended, ['57014'])
        await client.query('rollback')
        await client.query(`insert into company (name) values ('private ${ground.victim.canary}')`)
        client.release()
        await ground.request('attacker', 'session').try(['rows'], 'select * from company')
      },
    },
    run: (ground) =>
      interruptVictim(ground, ['57014'], {
        sleeps: (query) => query(slow),
        end: () => endSleeper(ground, 'cancel'),
      }),
  },
  {
    id: 'after-terminate',
    title: "the connection made in place of one that was terminated, without the tenant's setting",
    naive: {
      design: 'no-context-means-all',
      run: async (ground) => {
        const ended = ground.request('attacker', 'session').try(['57P01'], slow)
        await endSleeper(ground, 'terminate')
        await ended
        // The pool notices the dead connection with the first statement at the latest.
        const lost = 'Error: Connection terminated unexpectedly'
        await ground.request('attacker', 'none').try(['rows', lost], 'select * from note')
        await ground.request('attacker', 'none').try(['rows'], 'select * from note')
      },
    },
    run: (ground) =>
      interruptVictim(ground, ['57P01', 'TRANSACTION_FAILED'], {
        sleeps: (query) => query(slow),
        end: () => endSleeper(ground, 'terminate'),
      }),
  },
]
