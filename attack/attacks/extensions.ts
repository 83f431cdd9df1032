import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']

/** Where everybody looks for functions after their own place, and how files and other databases are reached. */
async function useExtensions(ground: OurGround): Promise<void> {
  const { installation, victim } = ground
  const makes = [
    `create function extensions.lower(text) returns text language sql as 'select $1'`,
    'create table extensions.loot (line text)',
    `create operator extensions.= (leftarg = uuid, rightarg = uuid, function = uuid_ne)`,
    `create type extensions.uuid as (line text)`,
    'create extension dblink',
    'create extension postgres_fdw with schema extensions',
    'create extension file_fdw with schema extensions',
    'alter extension btree_gin set schema app',
    'drop extension btree_gin cascade',
    'drop schema extensions cascade',
    'alter schema extensions owner to current_user',
    `create server elsewhere foreign data wrapper postgres_fdw`,
    `create foreign table extensions.loot (line text) server files`,
  ]
  const reaches = [
    `select pg_read_file('postgresql.auto.conf')`,
    `select pg_read_binary_file('PG_VERSION')`,
    `select pg_ls_dir('.')`,
    `select pg_stat_file('PG_VERSION')`,
    `select lo_export(1, '/tmp/loot')`,
    `select * from extensions.dblink('dbname=${installation.name}_catalog', 'select 1') as t (a integer)`,
    `select * from dblink_connect('dbname=postgres')`,
    `select extensions.set_limit(0.0)`,
  ]
  await everywhere(ground, async (door) => {
    for (const text of makes)
      await door.try([...refused, '42501', '0A000', '42704', '42P01', '42883', '3F000'], text)
    for (const text of reaches) {
      const { code } = await door.try(['42501', '42883', '3F000'], text)
      if (code === 'rows') ground.ledger.leak(`${text} was answered`)
    }
  })
  await ground.api('victim').try(['rows'], 'select lower(email) from contact')
  await everywhere(ground, async (door) => {
    await door.try(['rows', '42501', '42P01', '3F000'], `select * from ${victim.schema}.note`)
  })
}

export const extensionAttacks: readonly Attack[] = [
  {
    id: 'extensions-schema',
    title:
      'the schema of extensions: planting a function there; files and other databases through extensions',
    naive: {
      design: 'open-extensions',
      run: async (ground) => {
        const session = await ground.raw()
        // Whatever the victim labels is written down where the policy was forgotten.
        await session.try(
          ['rows'],
          `create function extensions.label(value text) returns text language sql as
             $$ insert into app.note (body) values (value) returning body $$`,
        )
        const theirs = await ground.raw({ inside: 'victim', by: 'victim' })
        await theirs.try(['rows'], 'set search_path = app, extensions; select label(email) from contact')
        await session.try(['rows'], 'select body from note')
      },
    },
    run: useExtensions,
  },
]
