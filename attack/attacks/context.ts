import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import type { Party } from '../party.ts'
import { everywhere, type RawSession } from '../raw-session.ts'

/** A context as the database writes it, sealed with anything but the key: hex of mac and claims. */
function forge(victim: Party): string {
  const tenant = victim.id.replaceAll('-', '')
  return `${'0'.repeat(64)}${tenant}${'7'.repeat(16)}${Buffer.from('|').toString('hex')}`
}

/** The seal does not fit, or the text is no context at all. */
const unsealed = ['QS006', '22P02', '22023', '22021']
/** A custom setting may be changed; what counts is that nothing follows from it. */
const harmless = [...unsealed, '42501', 'STATEMENT_REFUSED', 'rows']

/** Where the victim's tables are, with nothing but the seal in the way: a silo's own login has no other tenant's. */
async function atVictim(ground: OurGround): Promise<RawSession> {
  return await ground.raw(ground.strategy === 'database' ? { at: 'victim', inside: null } : {})
}

async function readWithForgedContexts(ground: OurGround): Promise<void> {
  const { victim } = ground
  const forged = [forge(victim), forge(victim).toUpperCase(), forge(victim).slice(0, 96), '', 'x', victim.id]
  for (const context of forged) {
    const session = await atVictim(ground)
    await session.try(['rows'], `set quickscale.context = '${context}'; set search_path = app, pg_temp`)
    await session.try(unsealed, `select * from ${victim.schema}.contact`)
    await session.try(unsealed, `select quickscale.tenant_id(), quickscale.actor_role()`)
    await session.close()
  }
}

/** Makes the victim's work leave its real context in sight of the attacker. */
async function captureContext(session: RawSession): Promise<string> {
  const { rows } = await session.client.query(`select current_setting('quickscale.context') as context`)
  return String(rows[0]?.context)
}

async function replay(session: RawSession, context: string, schema: string): Promise<void> {
  await session.try(['rows'], `set quickscale.context = '${context}'; set search_path = ${schema}, pg_temp`)
  await session.try(unsealed, `select * from ${schema}.contact`)
  await session.try(unsealed, `update ${schema}.contact set amount = 0`)
}

async function replayOnAnotherConnection(ground: OurGround): Promise<void> {
  const theirs = await ground.raw({ inside: 'victim', by: 'victim' })
  const session = await atVictim(ground)
  await replay(session, await captureContext(theirs), ground.victim.schema)
}

async function replayInAnotherTransaction(ground: OurGround): Promise<void> {
  for (const end of ['commit', 'rollback', 'commit and chain', 'rollback and chain', 'commit; begin']) {
    const session = await ground.raw({ inside: 'victim' })
    const context = await captureContext(session)
    await session.client.query(end)
    await replay(session, context, ground.victim.schema)
    await session.close()
  }
}

async function workWithoutContext(ground: OurGround): Promise<void> {
  const { victim } = ground
  const session = await ground.raw({ at: 'victim', inside: null })
  for (const searchPath of ['app', victim.schema, 'public', '']) {
    await session.try(['rows'], `set search_path = '${searchPath}'`)
    await session.try(['QS006'], `select * from ${victim.schema}.contact`)
    await session.try(['QS006'], `update ${victim.schema}.contact set amount = 0`)
    await session.try(['QS006'], `delete from ${victim.schema}.note`)
    await session.try(
      ['QS006'],
      `insert into ${victim.schema}.company (name, tenant_id) values ('x', '${victim.id}')`,
    )
  }
}

function updateSettings(setting: string, value: string): string {
  return `update pg_settings set setting = '${value}' where name = '${setting}'`
}

function settingAttack(id: string, title: string, text: (setting: string, value: string) => string): Attack {
  return {
    id,
    title,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], text('app.current_tenant_id', ground.victim.id))
      },
    },
    run: (ground) =>
      everywhere(ground, async (door) => {
        for (const value of [forge(ground.victim), ground.victim.id, '']) {
          await door.try(harmless, text('quickscale.context', value))
        }
      }),
  }
}

export const contextAttacks: readonly Attack[] = [
  settingAttack(
    'set-config-lateral',
    'set_config() in a LATERAL join changes the tenant half way',
    (setting, value) => `
      with changed as materialized (select set_config('${setting}', '${value}', true))
      select contact.* from changed cross join lateral (select * from contact offset 0) as contact`,
  ),
  settingAttack(
    'set-config-subquery',
    'set_config() in a UNION and in a sub-select',
    (setting, value) => `
      select set_config('${setting}', '${value}', true)
      union all select email from contact where (select set_config('${setting}', '${value}', true)) is not null`,
  ),
  settingAttack(
    'set-config-query-to-xml',
    'set_config() inside query_to_xml(), where no parser sees it',
    (setting, value) => `
      select query_to_xml('select set_config(''${setting}'', ''${value}'', true)', true, false, ''),
             query_to_xml('select * from contact', true, false, '')`,
  ),
  {
    id: 'pg-settings-update',
    title: 'an UPDATE of pg_settings, whose rule calls set_config()',
    naive: {
      design: 'schemas',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], updateSettings('search_path', ground.victim.schema))
        await session.try(['rows'], 'select * from contact')
      },
    },
    run: (ground) =>
      everywhere(ground, async (door) => {
        for (const [setting, value] of [
          ['search_path', ground.victim.schema],
          ['quickscale.context', forge(ground.victim)],
          ['row_security', 'off'],
        ] as const) {
          await door.try(harmless, updateSettings(setting, value))
          await door.try(harmless, 'select * from contact')
        }
      }),
  },
  {
    id: 'context-forged',
    title: 'a context made up by the attacker, in every malformed shape',
    naive: { without: 'context-seal', run: readWithForgedContexts },
    run: readWithForgedContexts,
  },
  {
    id: 'context-missing',
    title: 'the login role with no context at all, under any search_path',
    naive: {
      design: 'no-context-means-all',
      run: async (ground) => {
        const session = await ground.raw({ inside: null })
        await session.try(['rows'], 'select * from contact')
      },
    },
    run: workWithoutContext,
  },
  {
    id: 'context-other-connection',
    title: "the victim's real context, copied to another connection while it is valid",
    naive: { without: 'transaction-binding', run: replayOnAnotherConnection },
    run: replayOnAnotherConnection,
  },
  {
    id: 'context-other-transaction',
    title: "the victim's real context, set again after COMMIT, ROLLBACK, AND CHAIN",
    naive: { without: 'transaction-binding', run: replayInAnotherTransaction },
    run: replayInAnotherTransaction,
  },
]
