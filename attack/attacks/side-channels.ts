import type { Attack } from '../attack.ts'
import type { Ground, OurGround } from '../ground.ts'
import { observe } from '../outcome.ts'
import { absentId, guesses } from '../party.ts'
import { everywhere } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']
const unreachable = ['42501', '42P01', '3F000']
const ownOnly = ['rows', ...unreachable]

/** Conditions that fail on a value, or say it aloud, and are evaluated per row. */
const leaky = [
  'email::integer > 0',
  '1 / (amount - 17) > 0',
  '1 / (amount - 4242) > 0',
  `email like E'ceo\\\\'`,
  `email ~ ('(' || email)`,
  `('{' || email)::jsonb is not null`,
  `email::uuid is not null`,
  `xmlparse(document email) is not null`,
  `to_tsquery(email) is not null`,
  `set_byte(convert_to(email, 'UTF8'), 1000, 0) is not null`,
  'email::boolean',
]

async function raiseFromForeignRows(ground: OurGround): Promise<void> {
  await fillAndAnalyze(ground)
  // Without rows of the attacker's own, whatever raises has looked at a foreign one.
  await ground.api().try(['rows'], 'delete from contact')
  await everywhere(ground, async (door) => {
    for (const contact of new Set(['contact', `${ground.victim.schema}.contact`])) {
      for (const condition of leaky) {
        const { code } = await door.try(ownOnly, `select email from ${contact} where ${condition}`)
        if (code.startsWith('22')) ground.ledger.leak(`a foreign row raised ${code}: ${condition}`)
      }
    }
  })
}

async function provoke(ground: OurGround): Promise<void> {
  const { attacker, victim } = ground
  const statements = [
    `insert into company (id, name) values ('${attacker.ids.company}', 'twice')`,
    `insert into company (id, name, tenant_id) values ('${victim.ids.ownCompany}', 'twice', '${victim.id}')`,
    `insert into contact (company_id, email, amount) values ('${victim.ids.ownCompany}', 'x', 1)`,
    `insert into contact (company_id, email, amount) values ('${absentId}', 'x', null)`,
    `delete from company where id = '${victim.ids.ownCompany}'`,
    `select * from ${victim.schema}.contact for update nowait`,
    `select (select email from ${victim.schema}.contact), 1 / 0`,
    `select string_agg(email, ',')::integer from ${victim.schema}.contact where tenant_id = '${victim.id}' having count(*) > 0`,
  ]
  const foreseen = [...ownOnly, '23505', '23503', '23502', '23514', '22012', '21000']
  await everywhere(ground, async (door) => {
    for (const text of statements) await door.try(foreseen, text)
  })
}

/** Enough rows of one value that the planner's statistics know it. */
async function fillAndAnalyze({ owner, victim, rebase }: Ground): Promise<void> {
  await owner.query(
    `insert into ${victim.schema}.company (name, industry, tenant_id)
     select 'filler ' || number, '${guesses.industries[0]}', '${victim.id}' from generate_series(1, 40) as number`,
  )
  await owner.query(`analyze ${victim.schema}.company, ${victim.schema}.contact`)
  await rebase()
}

async function readPlans(ground: OurGround): Promise<void> {
  const { victim, ledger } = ground
  await fillAndAnalyze(ground)
  const door = ground.api()
  const company = `${victim.schema}.company`
  const [existing, missing] = guesses.industries
  const plan = (value: string) =>
    door.try([...ownOnly, ...refused], `explain select * from ${company} where industry = '${value}'`)
  ledger.compare('a plan', await plan(existing), await plan(missing), guesses.industries)
  const run = await door.try(
    [...ownOnly, ...refused],
    `explain (analyze, timing off, summary off) select * from ${company}`,
  )
  const [, removed = '0'] = /Rows Removed by Filter: (\d+)/.exec(run.text) ?? []
  if (removed !== '0') ledger.leak(`a plan counts ${removed} foreign rows`)
}

/** currtid2() follows a row's updates without asking a policy. */
async function followUpdates(ground: OurGround): Promise<void> {
  const { victim, ledger } = ground
  const contact = `${victim.schema}.contact`
  const where = 'where tenant_id = $1 and id = $2'
  const place = [victim.id, victim.ids.ownContact]
  const before = await ground.owner.query(`select ctid::text from ${contact} ${where}`, place)
  await ground.owner.query(`update ${contact} set amount = amount ${where}`, place)
  await ground.rebase()
  const tid = String(before.rows[0]?.ctid)
  await everywhere(ground, async (door) => {
    const latest = await door.try([...ownOnly, '22023'], `select currtid2('${contact}', '${tid}')::text`)
    const answer = latest.rows[0]?.[0]
    if (answer !== undefined && answer !== tid)
      ledger.leak(`currtid2() shows that the row at ${tid} is now at ${answer}`)
  })
}

export const sideChannelAttacks: readonly Attack[] = [
  {
    id: 'leaky-conditions',
    title: 'casts, divisions and patterns in WHERE that fail on a foreign value and quote it',
    naive: {
      design: 'filtering-view',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows', '22P02'], 'select * from my_contact where email::boolean')
      },
    },
    run: raiseFromForeignRows,
  },
  {
    id: 'error-messages',
    title: 'constraints and errors that quote a foreign row',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        const text = `select string_agg(email, ',')::integer from contact_overview`
        await session.try(['22P02'], text)
      },
    },
    run: provoke,
  },
  {
    id: 'explain',
    title: "a plan: its estimates know the victim's values, its counts the victim's rows",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        await fillAndAnalyze(ground)
        const session = await ground.raw()
        const [existing, missing] = guesses.industries
        const plan = (value: string) =>
          session.try(['rows'], `explain select * from company where industry = '${value}'`)
        ground.ledger.compare('a plan', await plan(existing), await plan(missing), guesses.industries)
        const { text } = await session.try(['rows'], 'explain analyze select * from company')
        if (/Rows Removed by Filter: [1-9]/.test(text)) ground.ledger.leak('a plan counts foreign rows')
      },
    },
    run: readPlans,
  },
  {
    id: 'row-versions',
    title: "currtid2(): where has the victim's row gone?",
    hardenedOnly: true,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const { ownContact } = ground.victim.ids
        const { rows } = await ground.owner.query('select ctid::text from app.contact where id = $1', [
          ownContact,
        ])
        await ground.owner.query('update app.contact set amount = amount where id = $1', [ownContact])
        await ground.rebase()
        const session = await ground.raw()
        const latest = await session.try(['rows'], `select currtid2('app.contact', '${rows[0]?.ctid}')::text`)
        if (latest.rows[0]?.[0] !== rows[0]?.ctid) ground.ledger.leak('currtid2() follows a foreign row')
      },
    },
    run: followUpdates,
  },
  {
    id: 'running-queries',
    title: "pg_stat_activity: the victim's SQL, with the values written in it",
    hardenedOnly: true,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const victim = ground.request('victim', 'session')
        await victim.try(['rows'], `select * from note where body = '${ground.victim.canary}'`)
        const session = await ground.raw()
        await session.try(['rows'], 'select query from pg_stat_activity')
      },
    },
    run: async (ground) => {
      await ground.api('victim').try(['rows'], `select * from note where body = '${ground.victim.canary}'`)
      const session = await ground.raw()
      for (const text of [
        'select query from pg_stat_activity',
        'select * from pg_stat_get_activity(null)',
        'select pg_stat_get_backend_activity(id) from pg_stat_get_backend_idset() as id',
      ]) {
        await session.try(['rows', '42501'], text)
        await ground.api().try(['rows', '42501'], text)
      }
    },
  },
  {
    id: 'prepared-texts',
    title: "pg_prepared_statements: the previous tenants' SQL on the pooled connection",
    hardenedOnly: true,
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const text = `select * from note where body = '${ground.victim.canary}'`
        const named = await observe(() => ground.pool.query({ name: 'search', text, rowMode: 'array' }))
        ground.ledger.note('victim', text, named, ['rows'])
        await ground
          .request('attacker', 'session')
          .try(['rows'], 'select statement from pg_prepared_statements')
      },
    },
    run: async (ground) => {
      const text = `select * from note where body = '${ground.victim.canary}'`
      const named = await observe(() =>
        ground.handle('victim').query({ name: 'search', text, rowMode: 'array' }),
      )
      ground.ledger.note('victim', text, named, ['rows'])
      await ground.api().try(['rows', '42501'], 'select statement from pg_prepared_statements')
      await ground.api().try(['rows', '42501'], 'select * from pg_prepared_statement()')
    },
  },
]
