import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']

/** Whatever runs with the rights of somebody else and can be called: with nothing, with the victim's id, with a text. */
async function callDefiners(ground: OurGround): Promise<void> {
  const { victim } = ground
  await everywhere(ground, async (door) => {
    const { rows } = await door.try(
      ['rows'],
      `select pg_proc.oid::regproc::text, pronargs::text, prorettype = 'trigger'::regtype
         from pg_proc
        where prosecdef and has_function_privilege(pg_proc.oid, 'execute')
          and has_schema_privilege(pronamespace, 'usage') and prokind = 'f'
        order by 1`,
    )
    for (const [name, count, isTrigger] of rows) {
      const values = (value: string) => Array.from({ length: Number(count) }, () => value).join(', ')
      for (const value of ['null', `'${victim.id}'`, `'app.contact'`]) {
        const { code } = await door.try(
          [
            'rows',
            '42501',
            '22P02',
            '42883',
            '0A000',
            '42725',
            '22023',
            'QS001',
            'QS002',
            'QS003',
            'QS004',
            'QS005',
            'QS006',
          ],
          `select ${name}(${values(value)})`,
        )
        if (isTrigger === 't' && code === 'rows') ground.ledger.leak(`${name} ran outside its trigger`)
      }
    }
    for (const text of [
      `create function steal() returns setof text language sql security definer as 'select email from ${victim.schema}.contact'`,
      `alter function quickscale.tenant_id() security invoker`,
      `create or replace function quickscale.tenant_id() returns uuid language sql as 'select null::uuid'`,
      `alter function quickscale.enter owner to current_user`,
    ]) {
      await door.try([...refused, '42501', '42725', '42883', '42P13'], text)
    }
    await door.try(['rows', '42501', '42P01', '3F000'], `select email from ${victim.schema}.contact`)
  })
}

export const definerAttacks: readonly Attack[] = [
  {
    id: 'definer-functions',
    title: 'SECURITY DEFINER: functions with the rights of an owner whom policies do not bind',
    naive: {
      design: 'definer-report',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], 'select contact_report()')
      },
    },
    run: callDefiners,
  },
]
