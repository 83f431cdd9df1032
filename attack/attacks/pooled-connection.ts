import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { observe } from '../outcome.ts'

const refused = ['STATEMENT_REFUSED']

/** What the victim does next on the connection that the attacker has just had. */
async function victimWorks(ground: OurGround): Promise<void> {
  const victim = ground.api('victim')
  await victim.try(['rows'], 'select * from contact')
  await victim.try(['rows'], `insert into note (body) values ('private ${ground.victim.canary}')`)
  const { rows } = await victim.try(['rows'], 'select body from note')
  if (rows.length !== 2) ground.ledger.leak(`the victim sees ${rows.length} of its 2 notes`)
  await victim.try(['rows'], `delete from note where body = 'private ${ground.victim.canary}'`)
  await ground.api().try(['rows', '42P01'], 'select * from note')
}

async function leaveSettings(ground: OurGround): Promise<void> {
  const { schema } = ground.attacker
  const settings: readonly (readonly [string, string])[] = [
    ['search_path', schema],
    ['quickscale.context', 'x'],
    ['row_security', 'off'],
    ['statement_timeout', '1'],
    ['default_transaction_isolation', 'serializable'],
    ['default_transaction_read_only', 'on'],
    ['transaction_read_only', 'on'],
    ['TimeZone', 'Pacific/Apia'],
    ['DateStyle', 'German'],
    ['client_encoding', 'LATIN1'],
    ['standard_conforming_strings', 'off'],
    ['session_replication_role', 'replica'],
    ['role', 'quickscale_owner'],
  ]
  for (const [name, value] of settings) {
    const set = `set_config('${name}', '${value}', false)`
    // The timeout of one millisecond may end the very flush that sets it.
    const foreseen = ['rows', '42501', '22023', '25001', '0A000', '57014']
    await ground.api().try(foreseen, `select ${set}`)
    await ground
      .api()
      .try(
        foreseen,
        `select query_to_xml('select set_config(''${name}'', ''${value}'', false)', true, false, '')`,
      )
    await ground.api().try([...foreseen, '22012'], `select 1 / (length(${set}) - length(${set}))`)
    await ground.api().try(refused, `set ${name} = '${value}'`)
    await ground.transact('attacker', [...foreseen, 'TRANSACTION_FAILED'], async (door) => {
      await door.try(foreseen, `select ${set}`)
    })
    await victimWorks(ground)
  }
}

async function seeLeftovers(ground: OurGround): Promise<void> {
  await ground.api('victim').try(['rows'], 'select * from contact')
  for (const text of [
    `select current_setting('quickscale.context', true), current_setting('search_path')`,
    `select name, setting from pg_settings where source = 'session'`,
    'show all',
    'select * from pg_cursors',
    'select * from contact',
  ]) {
    const { rows } = await ground.api().try(['rows'], text)
    const tenant = ground.victim.id.replaceAll('-', '')
    if (JSON.stringify(rows).includes(tenant))
      ground.ledger.leak(`the victim's context is still there: ${text}`)
  }
}

async function poisonStatements(ground: OurGround): Promise<void> {
  const statement = { name: 'notes', text: 'select body from note' }
  const run = (who: 'attacker' | 'victim', text: string) =>
    observe(() => ground.handle(who).query({ ...statement, text, rowMode: 'array' }))
  ground.ledger.note('victim', 'named statement', await run('victim', statement.text), ['rows'])
  ground.ledger.note('attacker', 'same name', await run('attacker', 'delete from note returning body'), [
    'rows',
  ])
  const { rows } = await ground
    .api()
    .try(['rows', '42501'], `select name from pg_prepared_statements where statement like '%from note%'`)
  for (const name of ['notes', ...rows.map(([found]) => String(found))]) {
    for (const text of [
      `deallocate "${name}"`,
      'deallocate all',
      'discard all',
      `prepare "${name}" as delete from note returning body`,
      `execute "${name}"`,
    ]) {
      await ground.api().try(refused, text)
    }
  }
  ground.ledger.note('victim', 'named statement', await run('victim', statement.text), ['rows'])
  await victimWorks(ground)
}

async function leaveCursors(ground: OurGround): Promise<void> {
  for (const who of ['victim', 'attacker'] as const) {
    await ground.api(who).try(refused, 'declare thief cursor with hold for select * from contact')
    await ground.transact(who, ['rows', 'STATEMENT_REFUSED'], async (door) => {
      await door.try(['rows'], 'declare thief cursor for select * from contact')
      await door.try(['rows'], 'fetch 1 from thief')
    })
    const other = who === 'victim' ? 'attacker' : 'victim'
    await ground.api(other).try(['34000'], 'fetch all from thief')
    await ground.api(other).try(['34000', ...refused], 'move absolute 0 in thief')
  }
}

export const pooledConnectionAttacks: readonly Attack[] = [
  {
    id: 'settings-left-behind',
    title: 'session settings left behind for the next tenant on the pooled connection',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const text = `select set_config('app.current_tenant_id', '${ground.attacker.id}', false)`
        await ground.request('attacker', 'lost').try(['rows'], text)
        const victim = ground.request('victim', 'lost')
        await victim.try(['rows'], `insert into company (name) values ('private ${ground.victim.canary}')`)
        await ground.request('attacker', 'lost').try(['rows'], 'select * from company')
      },
    },
    run: leaveSettings,
  },
  {
    id: 'context-left-behind',
    title: "the previous tenant's context, found on the pooled connection",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        await ground.request('victim', 'session').try(['rows'], 'select 1')
        await ground.request('attacker', 'none').try(['rows'], 'select * from contact')
      },
    },
    run: seeLeftovers,
  },
  {
    id: 'poisoned-statement',
    title: "a prepared statement replaced under the application's name for it",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const named = () =>
          observe(() => ground.pool.query({ name: 'notes', text: 'select body from note', rowMode: 'array' }))
        ground.ledger.note('victim', 'named statement', await named(), ['rows'])
        await ground
          .request('attacker', 'session')
          .try(['rows'], `deallocate "notes"; prepare "notes" as delete from note returning body`)
        ground.ledger.note('victim', 'named statement', await named(), ['rows'])
      },
    },
    run: poisonStatements,
  },
  {
    id: 'cursor-left-behind',
    title: 'a cursor WITH HOLD, read by the next tenant on the connection',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        await ground
          .request('victim', 'session')
          .try(['rows'], 'declare export cursor with hold for select * from contact')
        await ground.request('attacker', 'session').try(['rows'], 'fetch all from export')
      },
    },
    run: leaveCursors,
  },
]
