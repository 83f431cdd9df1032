import type { Attack } from '../attack.ts'
import type { Ground, OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']
const unreachable = ['42501', '42P01', '3F000']

/** What the victim reads in its place. */
async function countries({ owner, victim }: Pick<Ground, 'owner' | 'victim'>): Promise<string> {
  const { rows } = await owner.query(
    `select (select jsonb_agg(to_jsonb(c) order by code) from ${victim.schema}.country as c)::text as rows,
            obj_description('${victim.schema}.country'::regclass, 'pg_class') as comment,
            (select string_agg(concat(tgname, tgenabled), ',') from pg_trigger
              where tgrelid = '${victim.schema}.country'::regclass and not tgisinternal) as triggers,
            (select string_agg(pg_get_expr(adbin, adrelid), ',') from pg_attrdef
              where adrelid = '${victim.schema}.country'::regclass) as defaults`,
  )
  return JSON.stringify(rows[0])
}

function writes(table: string): string[] {
  return [
    `insert into ${table} (code, name) values ('zz', 'planted')`,
    `insert into ${table} (code, name) values ('de', 'planted') on conflict (code) do update set name = 'planted'`,
    `update ${table} set name = 'planted'`,
    `update ${table} set note = default`,
    `delete from ${table}`,
    `merge into ${table} as c using (select 1) as one on c.code = 'de' when matched then delete`,
    `with gone as (delete from ${table} returning *) select * from gone`,
    `select * from ${table} for update`,
    `select * from ${table} for key share`,
  ]
}

function changes(table: string): string[] {
  return [
    `truncate ${table}`,
    `lock table ${table} in access exclusive mode`,
    `alter table ${table} alter column note set default 'planted'`,
    `alter table ${table} add column tenant_id uuid`,
    `comment on table ${table} is 'mine'`,
    `create rule planted as on insert to visit do instead update ${table} set name = 'planted'`,
    `create trigger planted before insert on ${table} for each row execute function suppress_redundant_updates_trigger()`,
    `create policy planted on ${table} using (true)`,
    `grant all on ${table} to public`,
    `drop table ${table} cascade`,
  ]
}

async function writeReference(ground: OurGround): Promise<void> {
  const { schema } = ground.victim
  const before = await countries(ground)
  await everywhere(ground, async (door) => {
    await door.try(['rows'], 'select * from country')
    await door.try(['rows'], `insert into visit (country_code, body) values ('de', 'own')`)
    await door.try(['23503'], `insert into visit (country_code) values ('zz')`)
    for (const table of new Set(['country', `${schema}.country`])) {
      for (const text of writes(table)) await door.try(unreachable, text)
      for (const text of changes(table)) await door.try([...unreachable, ...refused], text)
    }
    await door.try(unreachable, `update country_names set name = 'planted'`)
    await door.try(['rows'], 'delete from visit')
  })
  const session = await ground.raw()
  await session.tryCopyFrom(
    [...unreachable, '0A000'],
    'copy country (code, name) from stdin',
    'zz\tplanted\n',
  )
  if ((await countries(ground)) !== before)
    ground.ledger.leak('what the victim reads in a reference table was changed')
}

export const referenceTableAttacks: readonly Attack[] = [
  {
    id: 'reference-table',
    title: 'a reference table, which has no policy: written to, locked, given a trigger or a default',
    naive: {
      without: 'reference-rights',
      run: async (ground) => {
        const before = await countries(ground)
        const session = await ground.raw()
        await session.try(['rows'], `update country set name = 'planted' where code = 'de'`)
        await session.close()
        if ((await countries(ground)) !== before)
          ground.ledger.leak('what the victim reads in a reference table was changed')
      },
    },
    run: writeReference,
  },
]
