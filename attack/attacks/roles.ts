import pg from 'pg'
import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']

/** Every way of becoming a role that policies do not bind. */
function rolesOf({ arena, installation }: OurGround): string[] {
  const logins = Object.values(installation.arenas).map(({ databaseOf }) => databaseOf.victim.login)
  const own = arena.databaseOf.attacker.login
  const groups = ['quickscale_owner', 'quickscale_migrator', 'quickscale_seal', 'quickscale_silo']
  return ['postgres', 'pg_read_all_data', ...groups, ...new Set(logins)].filter((role) => role !== own)
}

async function switchRole(ground: OurGround): Promise<void> {
  const { schema } = ground.victim
  const session = await ground.raw()
  for (const role of rolesOf(ground)) {
    const statements = [
      `set role "${role}"`,
      `set local role "${role}"`,
      `set session authorization "${role}"`,
    ]
    for (const text of statements) await ground.api().try(refused, text)
    for (const text of [
      ...statements,
      `select set_config('role', '${role}', false)`,
      `grant "${role}" to current_user`,
    ]) {
      await session.try(['42501'], text)
      await session.try(['rows', '42P01', '42501'], `select * from ${schema}.contact`)
    }
  }
}

async function alterOwnRole(ground: OurGround): Promise<void> {
  const { login, name } = ground.arena.databaseOf.attacker
  const settings = {
    search_path: ground.attacker.schema,
    'quickscale.context': 'x',
    row_security: 'off',
    default_transaction_isolation: 'serializable',
    default_transaction_read_only: 'off',
    bytea_output: 'escape',
    standard_conforming_strings: 'on',
    timezone: 'Pacific/Apia',
  }
  const session = await ground.raw()
  for (const [setting, value] of Object.entries(settings)) {
    for (const scope of ['', ` in database "${name}"`]) {
      const text = `alter role "${login}"${scope} set ${setting} = '${value}'`
      await ground.api().try(refused, text)
      await session.try(['rows', '42501'], text)
    }
  }
  for (const right of ['bypassrls', 'superuser', 'createrole', 'replication']) {
    await session.try(['42501'], `alter role "${login}" ${right}`)
  }
  await session.close()
  // A connection that opens now begins with those settings.
  const victim = await ground.raw({ at: 'victim', inside: 'victim', by: 'victim' })
  const foreseen = ground.strategy === 'database' ? ['rows'] : ['rows', '42501']
  await victim.try(foreseen, 'select * from contact')
  const { rows } = await victim.try(foreseen, `insert into note (body) values ('new') returning tenant_id`)
  if (rows.some(([tenant]) => tenant !== ground.victim.id))
    ground.ledger.leak('a row of the victim went elsewhere')
  await victim.try(['rows'], 'rollback')
}

async function connectElsewhere(ground: OurGround): Promise<void> {
  const { installation, arena, ledger } = ground
  const { login, password } = arena.databaseOf.attacker
  const own = arena.databaseOf.attacker.name
  const others = new Set([
    `${installation.name}_catalog`,
    `${installation.name}_template`,
    `${installation.name}_pool`,
    ...Object.values(installation.arenas).map(({ databaseOf }) => databaseOf.victim.name),
    installation.arenas.database.databaseOf.attacker.name,
  ])
  others.delete(own)
  const { hostname, port } = new URL(installation.connection(own).connectionString ?? '')
  for (const database of others) {
    const client = new pg.Client({ host: hostname, port: Number(port), database, user: login, password })
    const code = await client.connect().then(
      async () => {
        const { rows } = await client.query(`select * from ${ground.victim.schema}.contact`)
        ledger.hear('attacker', JSON.stringify(rows))
        return 'connected'
      },
      (error: { code?: string }) => String(error.code),
    )
    if (code === 'connected') await client.end()
    ledger.note('attacker', `connect to ${database}`, { code, text: '', rows: [] }, ['42501'])
  }
  const session = await ground.raw()
  await session.try(
    ['0A000', 'rows'],
    `select * from ${arena.databaseOf.victim.name}.${ground.victim.schema}.contact`,
  )
  await session.try(
    ['42883', '3F000'],
    `select * from dblink('dbname=${[...others][0]}', 'select 1') as t (a integer)`,
  )
}

export const roleAttacks: readonly Attack[] = [
  {
    id: 'set-role',
    title: 'SET ROLE, SET SESSION AUTHORIZATION, GRANT: become a role that policies do not bind',
    naive: {
      design: 'role-switch',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], `set role "${ground.ownerRole}"; select * from contact`)
      },
    },
    run: switchRole,
  },
  {
    id: 'table-owner',
    title: 'an application that connects as the owner of its tables, whom unforced policies do not bind',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw({ role: 'owner' })
        await session.try(['rows'], 'select * from contact')
      },
    },
    run: (ground) =>
      everywhere(ground, async (door) => {
        for (const text of [
          'alter table contact owner to current_user',
          'reassign owned by quickscale_owner to current_user',
        ]) {
          await door.try(['42501', ...refused], text)
        }
        const { rows } = await door.try(
          ['rows'],
          `select 1 from pg_class where relkind in ('r', 'p', 'v') and pg_has_role(current_user, relowner, 'member')`,
        )
        if (rows.length > 0) ground.ledger.leak(`the login role owns ${rows.length} relations`)
      }),
  },
  {
    id: 'row-security-off',
    title: 'row_security switched off',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw({ role: 'owner' })
        await session.try(['rows'], 'set row_security = off; select * from contact')
      },
    },
    run: async (ground) => {
      const { schema } = ground.victim
      await ground.api().try(refused, 'set row_security = off')
      await ground.transact('attacker', ['42501', 'rows', '42P01', 'TRANSACTION_FAILED'], async (door) => {
        await door.try(['rows'], 'set local row_security = off')
        await door.try(['42501', 'rows', '42P01'], `select * from ${schema}.contact`)
      })
      const session = await ground.raw()
      await session.try(['rows'], 'set row_security = off')
      for (const text of [
        `select * from ${schema}.contact`,
        `delete from ${schema}.note`,
        `copy ${schema}.contact to stdout`,
      ]) {
        await session.try(['42501', 'rows', '42P01'], text)
      }
    },
  },
  {
    id: 'own-role-altered',
    title: "ALTER ROLE … SET on the shared login role: settings for every later tenant's connections",
    naive: {
      design: 'schemas',
      run: async (ground) => {
        const { attacker, victim } = ground
        const session = await ground.raw()
        await session.try(
          ['rows'],
          `alter role "${ground.appRole}" in database "${ground.database}" set search_path = ${attacker.schema}`,
        )
        // The middleware's setting is lost: it is local, and there is no transaction.
        const theirs = await ground.raw({ inside: null, by: 'victim', searchPath: false })
        await theirs.try(['rows'], `select set_config('search_path', '${victim.schema}', true)`)
        await theirs.try(['rows'], 'insert into company (name) values ($1)', [`private ${victim.canary}`])
        await session.try(['rows'], 'select * from company')
      },
    },
    run: alterOwnRole,
  },
  {
    id: 'other-database',
    title: "the login role tries every database of the installation, the victim's among them",
    naive: {
      design: 'own-database',
      run: async (ground) => {
        const session = await ground.raw({ inside: null })
        await session.try(['rows'], 'select * from contact')
      },
    },
    run: connectElsewhere,
  },
]
