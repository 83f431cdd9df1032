import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']
const unreachable = ['42501', '42P01', '3F000']
const ownOnly = ['rows', ...unreachable]

function schemasOf({ victim, installation }: OurGround): Set<string> {
  return new Set([
    victim.schema,
    'app',
    installation.arenas.schema.victim.schema,
    installation.arenas.schema.attacker.schema,
  ])
}

async function readByQualifiedName(ground: OurGround): Promise<void> {
  await everywhere(ground, async (door) => {
    for (const schema of schemasOf(ground)) {
      for (const text of [
        `select * from ${schema}.contact`,
        `table ${schema}.note`,
        `select contact_overview from ${schema}.contact_overview`,
        `select schema_to_xml('${schema}', true, false, '')`,
        `select table_to_xml('${schema}.contact', true, false, '')`,
        `select * from only ${schema}.contact tablesample system (100)`,
        `select * from ${schema}.contact where ctid = '(0,1)'`,
        `update ${schema}.contact set amount = 0 returning *`,
      ]) {
        await door.try(ownOnly, text)
      }
    }
    await door.try(['rows', '42501'], `select database_to_xml(true, false, '')`)
  })
}

async function changeSearchPath(ground: OurGround): Promise<void> {
  const session = await ground.raw()
  for (const schema of schemasOf(ground)) {
    await ground.api().try(refused, `set search_path = ${schema}`)
    for (const text of [
      `set search_path = ${schema}, public`,
      `set local search_path to ${schema}`,
      `set schema '${schema}'`,
      `select set_config('search_path', '${schema}', false)`,
    ]) {
      await session.try(['rows', '42501'], text)
      await session.try(ownOnly, 'select * from contact')
    }
  }
  await session.try(['rows'], 'reset search_path')
  await session.try(['42P01'], 'select * from contact')
}

const secrets = ['token_key', 'context_key', 'gate', 'placement', 'version', 'migration']

async function readSecrets(ground: OurGround): Promise<void> {
  const read = async (door: { try(expected: string[], text: string): Promise<{ code: string }> }) => {
    for (const table of secrets) {
      for (const text of [
        `select * from quickscale.${table}`,
        `select count(*) from quickscale.${table}`,
        `update quickscale.${table} set tenant_id = tenant_id`,
        `delete from quickscale.${table}`,
      ]) {
        const { code } = await door.try(['42501', '42703'], text)
        if (code === 'rows') ground.ledger.leak(`quickscale.${table} could be used`)
      }
    }
    for (const text of [
      'select outer_pad from quickscale.context',
      'select * from pg_catalog.pg_authid',
      'select * from pg_catalog.pg_shadow',
      'select * from pg_catalog.pg_statistic',
      'select * from catalog.tenant',
    ]) {
      const { code } = await door.try([...unreachable, '42703'], text)
      if (code === 'rows') ground.ledger.leak(`could be read: ${text}`)
    }
  }
  await everywhere(ground, read)
  const session = await ground.raw({ at: 'victim', inside: null })
  await read(session)
}

/** What a tenant's SQL may call: its own identity, its gate, and what rewriting puts into statements. */
const open = [
  ...['actor_id', 'actor_role', 'bound_document', 'bound_pattern', 'bound_query', 'deny', 'enter', 'gate'],
  ...['like_prefix', 'may_contain', 'may_match', 'may_resemble', 'tenant_id'],
]

/** Every function of the library, with arguments that would be useful to an attacker. */
async function callInternals(ground: OurGround): Promise<void> {
  const { id } = ground.victim
  const gate = `${id}|1|k1`
  const calls = [
    `enter_slowly('${gate}', '\\x00', '\\x00')`,
    `open_gates('${id}')`,
    'open_gates(null)',
    `pad_key('\\x00', 54)`,
    'refresh_gate()',
    'refresh_gates()',
  ]
  const { rows } = await ground.owner.query<{ name: string; definer: boolean }>(
    `select distinct proname::text as name, prosecdef as definer from pg_proc
      where pronamespace = 'quickscale'::regnamespace and has_function_privilege('quickscale_runtime', oid, 'execute')`,
  )
  const callable = rows
    .map(({ name }) => name)
    .sort()
    .join()
  if (callable !== open.join()) {
    ground.ledger.leak(`the runtime role may call ${callable}`)
  }
  await everywhere(ground, async (door) => {
    for (const call of calls) await door.try(['42501'], `select quickscale.${call}`)
    await door.try(['QS006'], 'select quickscale.deny()')
    await door.try(['QS004'], `select quickscale.enter('${gate}', '\\x00', '\\x00')`)
    await door.try(ownOnly, `select * from ${ground.victim.schema}.contact`)
  })
}

export const nameAttacks: readonly Attack[] = [
  {
    id: 'qualified-names',
    title: "the victim's tables and views by their full names, one by one and wholesale",
    naive: {
      design: 'schemas',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], `select * from ${ground.victim.schema}.contact`)
      },
    },
    run: readByQualifiedName,
  },
  {
    id: 'search-path',
    title: "search_path changed to the victim's schema",
    naive: {
      design: 'schemas',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(
          ['rows'],
          `set search_path = ${ground.victim.schema}, public; select * from contact`,
        )
      },
    },
    run: changeSearchPath,
  },
  {
    id: 'owner-rights-view',
    title: 'a view that reads with the rights of its owner',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], 'select * from contact_overview')
      },
    },
    run: (ground) =>
      everywhere(ground, async (door) => {
        for (const schema of schemasOf(ground)) {
          await door.try(ownOnly, `select * from ${schema}.contact_overview`)
          await door.try([...ownOnly, '55000'], `update ${schema}.contact_overview set email = 'x'`)
        }
      }),
  },
  {
    id: 'read-secrets',
    title: 'keys, gates, placements and passwords, read from their tables',
    naive: {
      design: 'readable-secrets',
      run: async (ground) => {
        const session = await ground.raw()
        const { rows } = await session.try(
          ['rows'],
          `select secret from tenant_secret where tenant_id = '${ground.victim.id}'`,
        )
        await session.try(['rows'], `set app.secret = '${rows[0]?.[0]}'; select * from contact`)
      },
    },
    run: readSecrets,
  },
  {
    id: 'internal-functions',
    title: "the library's own functions, called by hand",
    naive: {
      design: 'open-helper',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], `select * from contacts_of('${ground.victim.id}')`)
      },
    },
    run: callInternals,
  },
]
