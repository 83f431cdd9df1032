import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']
const unreachable = ['42501', '42P01', '3F000']
const ownOnly = ['rows', ...unreachable]

async function copyOut(ground: OurGround): Promise<void> {
  const { schema, id } = ground.victim
  const session = await ground.raw()
  for (const text of [
    'copy contact to stdout',
    `copy ${schema}.contact to stdout`,
    `copy (select * from ${schema}.contact) to stdout`,
    `copy ${schema}.contact_overview to stdout`,
    `copy (select * from ${schema}.contact where tenant_id = '${id}') to stdout`,
    `copy (delete from ${schema}.note returning *) to stdout`,
    `copy ${schema}.contact to '/tmp/stolen'`,
    `copy ${schema}.contact to program 'cat'`,
    `copy quickscale.token_key to stdout`,
  ]) {
    await ground.api().try(refused, text)
    await session.try([...ownOnly, '42809'], text)
  }
}

async function copyIn(ground: OurGround): Promise<void> {
  const { schema, id } = ground.victim
  const row = `00000000-0000-4000-8000-0000000000ff\tplanted\t\\N\t${id}\n`
  const session = await ground.raw()
  for (const table of ['company', `${schema}.company`]) {
    const text = `copy ${table} (id, name, industry, tenant_id) from stdin`
    await ground.api().try(refused, text)
    // PostgreSQL refuses COPY FROM under row security; in a database of one's own the check is what is left.
    await session.tryCopyFrom([...unreachable, '0A000', '23514'], text, row)
  }
}

async function passLargeObjects(ground: OurGround): Promise<void> {
  const { canary } = ground.victim
  await ground.api('victim').try(['42501'], `select lo_from_bytea(424242, convert_to('${canary}', 'UTF8'))`)
  await everywhere(ground, async (door) => {
    for (const text of [
      `select convert_from(lo_get(424242), 'UTF8')`,
      'select loread(lo_open(424242, 262144), 1000)',
      'select lo_unlink(424242)',
      'select lo_create(0)',
      `select lo_import('/etc/passwd')`,
      'select data from pg_largeobject',
    ]) {
      await door.try(['42501'], text)
    }
  })
}

async function listen(ground: OurGround): Promise<void> {
  const { canary } = ground.victim
  const session = await ground.raw()
  await session.try(['rows'], 'listen contacts')
  await session.try(['rows'], 'commit')
  await ground.api().try(refused, 'listen contacts')
  await ground.api('victim').try(refused, `notify contacts, '${canary}'`)
  await ground.api('victim').try(['42501'], `select pg_notify('contacts', '${canary}')`)
  await ground
    .api('victim')
    .try(['42501', '42883'], `select pg_logical_emit_message(false, 'contacts', '${canary}')`)
  // A notification would come with the next answer.
  await session.try(['rows'], 'select 1')
}

async function useSequences(ground: OurGround): Promise<void> {
  const { victim } = ground
  const sequence = `${victim.schema}.note_id_seq`
  await ground.api('victim').try(['rows'], `insert into note (body) values ('one more of ${victim.canary}')`)
  await ground.rebase()
  await everywhere(ground, async (door) => {
    const probes = [
      'select lastval()',
      `select currval('${sequence}')`,
      `select nextval('${sequence}')`,
      `select setval('${sequence}', 1)`,
      `select last_value from ${sequence}`,
      `select pg_sequence_last_value('${sequence}'::regclass)`,
      `select last_value from pg_sequences where schemaname = '${victim.schema}'`,
      `select * from pg_get_sequence_data('${sequence}'::regclass)`,
    ]
    for (const text of probes) {
      const { rows } = await door.try(['rows', ...unreachable, '55000', '42883'], text)
      if (rows.flat().some((value) => value !== null && value !== 'f')) {
        ground.ledger.leak(`${text} says ${JSON.stringify(rows)}`)
      }
    }
  })
}

async function killOthers(ground: OurGround): Promise<void> {
  const { ledger } = ground
  const victim = await ground.raw({ at: 'victim', inside: 'victim', by: 'victim' })
  const { rows } = await victim.client.query('select pg_backend_pid() as pid')
  const pid = Number(rows[0]?.pid)
  await everywhere(ground, async (door) => {
    for (const name of ['pg_cancel_backend', 'pg_terminate_backend'])
      await door.try(['42501'], `select ${name}(${pid})`)
  })
  const after = await victim.try(['rows'], 'select * from contact')
  if (after.code !== 'rows') ledger.leak("the victim's session was ended")
}

export const sharedObjectAttacks: readonly Attack[] = [
  {
    id: 'copy-to',
    title: 'COPY … TO STDOUT, a file or a program',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], 'copy note to stdout')
      },
    },
    run: copyOut,
  },
  {
    id: 'copy-from',
    title: "COPY … FROM STDIN with the victim's tenant_id",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.tryCopyFrom(
          ['rows'],
          'copy note (body, tenant_id) from stdin',
          `planted\t${ground.victim.id}\n`,
        )
      },
    },
    run: copyIn,
  },
  {
    id: 'large-objects',
    title: 'large objects, which all belong to one role',
    hardenedOnly: true,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const text = `select lo_from_bytea(424242, convert_to('${ground.victim.canary}', 'UTF8'))`
        await ground.request('victim', 'session').try(['rows'], text)
        await ground
          .request('attacker', 'session')
          .try(['rows'], `select convert_from(lo_get(424242), 'UTF8')`)
      },
    },
    run: passLargeObjects,
  },
  {
    id: 'listen',
    title: 'LISTEN to what the victim notifies',
    hardenedOnly: true,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], 'listen contacts')
        await ground
          .request('victim', 'session')
          .try(['rows'], `select pg_notify('contacts', '${ground.victim.canary}')`)
        await session.try(['rows'], 'select 1')
      },
    },
    run: listen,
  },
  {
    id: 'sequences',
    title: "a table's sequence: last value, next value, set value",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        const read = () => session.try(['rows'], 'select last_value from note_id_seq')
        const before = await read()
        await ground.request('victim', 'session').try(['rows'], `insert into note (body) values ('x')`)
        await ground.rebase()
        ground.ledger.compare('a sequence', await read(), before, ['?', '?'])
      },
    },
    run: useSequences,
  },
  {
    id: 'other-sessions',
    title: "the victim's session, cancelled or ended by its fellow tenant",
    hardenedOnly: true,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const victim = await ground.raw({ inside: 'victim', by: 'victim' })
        const { rows } = await victim.try(['rows'], 'select pg_backend_pid()')
        const session = await ground.raw()
        await session.try(['rows'], `select pg_terminate_backend(${rows[0]?.[0]}, 1000)`)
        const after = await victim.try(['rows'], 'select 1')
        if (after.code !== 'rows') ground.ledger.leak("the victim's session was ended")
      },
    },
    run: killOthers,
  },
]
