import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'

/** A session lock on the key that every statement of the victim takes, on a connection that goes back to the pool. */
async function leaveLocks(ground: OurGround): Promise<void> {
  const key = `hashtextextended('${ground.victim.id}', 0)`
  const foreseen = ['rows', '42501']
  for (const lock of ['pg_advisory_lock', 'pg_try_advisory_lock']) {
    await ground.api().try(foreseen, `select ${lock}(${key})`)
    await ground
      .api()
      .try(foreseen, `select query_to_xml('select ${lock}(${key.replaceAll("'", "''")})', true, false, '')`)
    await ground.api().try([...foreseen, '22012'], `select ${lock}(${key}), 1 / (random() * 0)::integer`)
    await ground.transact('attacker', [...foreseen, 'TRANSACTION_FAILED'], async (door) => {
      await door.try(foreseen, `select ${lock}(${key})`)
    })
    await expectVictimEnters(ground)
  }
}

/** From another connection: one's own session never waits for its own lock. */
async function expectVictimEnters(ground: OurGround): Promise<void> {
  const session = await ground.raw({ at: 'victim', inside: null, by: 'victim' })
  await session.try(['rows'], `begin; set local lock_timeout = '500ms'`)
  const entered = await session.try(
    ['rows', '55P03'],
    'select quickscale.enter($1, $2, $3)',
    ground.token('victim'),
  )
  if (entered.code !== 'rows') ground.ledger.leak('the victim waits for a lock of the attacker')
  await session.close()
}

async function holdLock(ground: OurGround): Promise<void> {
  const key = `hashtextextended('${ground.victim.id}', 0)`
  const session = await ground.raw()
  for (const lock of [
    'pg_advisory_lock',
    'pg_advisory_xact_lock',
    'pg_try_advisory_lock',
    'pg_try_advisory_xact_lock',
  ]) {
    await session.try(['rows', '42501'], `select ${lock}(${key})`)
  }
  await expectVictimEnters(ground)
}

export const lockAttacks: readonly Attack[] = [
  {
    id: 'lock-left-behind',
    title: "a session lock on the victim's key, left behind on the pooled connection",
    naive: {
      without: 'lock-rights',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(
          ['rows'],
          `select pg_advisory_lock(hashtextextended('${ground.victim.id}', 0)); commit`,
        )
        await expectVictimEnters(ground)
      },
    },
    run: leaveLocks,
  },
  {
    id: 'lock-held',
    title: "an exclusive lock on the victim's key, held in an open transaction",
    hardenedOnly: true,
    naive: { without: 'lock-rights', run: holdLock },
    run: holdLock,
  },
]
