import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']
const unreachable = ['42501', '42P01', '3F000']

/** The victim's row in a partition; both tenants have it under the same id. */
async function fill({ owner, victim }: Pick<OurGround, 'owner' | 'victim'>): Promise<void> {
  await owner.query(`delete from ${victim.schema}.event where tenant_id = '${victim.id}'`)
  await owner.query(
    `insert into ${victim.schema}.event (id, day, body, tenant_id) overriding system value
     values (1, '2026-05-05', $1, $2)`,
    [`event of ${victim.canary}`, victim.id],
  )
}

async function bodies({ owner, victim }: Pick<OurGround, 'owner' | 'victim'>): Promise<string> {
  const { rows } = await owner.query(
    `select string_agg(body, ',') as bodies from ${victim.schema}.event where tenant_id = $1`,
    [victim.id],
  )
  return String(rows[0]?.bodies)
}

async function addressPartition(ground: OurGround): Promise<void> {
  await fill(ground)
  const before = await bodies(ground)
  const { schema, id } = ground.victim
  await everywhere(ground, async (door) => {
    for (const partition of new Set(['event_2026', `${schema}.event_2026`])) {
      for (const text of [
        `select * from ${partition}`,
        `select * from only ${partition} where tenant_id = '${id}'`,
        `update ${partition} set body = 'changed'`,
        `delete from ${partition}`,
        `insert into ${partition} (day, body, tenant_id) values ('2026-01-01', 'planted', '${id}')`,
        `merge into ${partition} as e using (select 1) as one on true when matched then delete`,
      ]) {
        await door.try(unreachable, text)
      }
    }
    for (const text of [`select * from ${schema}.event`, `delete from ${schema}.event where id = 1`]) {
      await door.try(['rows', ...unreachable], text)
    }
    for (const text of [
      `create table ${schema}.stolen partition of ${schema}.event default`,
      `alter table ${schema}.event detach partition ${schema}.event_2026`,
      `create temp table mine (like event); alter table event attach partition mine default`,
      `alter table ${schema}.event_2026 disable row level security`,
    ]) {
      await door.try([...unreachable, ...refused], text)
    }
  })
  if ((await bodies(ground)) !== before) ground.ledger.leak("the victim's row in the partition was changed")
}

export const partitionAttacks: readonly Attack[] = [
  {
    id: 'partition',
    title: "a partition by its own name: the partitioned table's policy does not hold for it",
    naive: {
      without: 'partition-walls',
      run: async (ground) => {
        await fill(ground)
        const session = await ground.raw()
        await session.try(['rows'], 'select * from event_2026')
      },
    },
    run: addressPartition,
  },
]
