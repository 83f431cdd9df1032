import { quoteIdentifier } from '../../packages/tenancy/src/identifiers.ts'
import type { Attack, NaiveSeed } from '../attack.ts'
import type { OurGround } from '../ground.ts'

const refused = ['STATEMENT_REFUSED']

/** The attacker's half of a query that an application has put together from strings. */
const injections = [
  `x' or true --`,
  `x' union all select email from app.contact --`,
  `x' union all select email from {schema}.contact --`,
  `x' union all select set_config('quickscale.context', '{victim}', true) union all select email from contact --`,
  `x'; select email from {schema}.contact --`,
  `x'; commit; select email from {schema}.contact --`,
  `x' or tenant_id = '{victim}' --`,
  `x' or exists (select from quickscale.enter('{victim}|1|k1', '', '')) --`,
]

async function injectIntoString(ground: OurGround): Promise<void> {
  const { victim } = ground
  const foreseen = ['rows', ...refused, 'QS004', 'QS006', '42501', '42P01', '22P02', '22023', '25P02']
  for (const injection of injections) {
    const evil = injection.replaceAll('{schema}', victim.schema).replaceAll('{victim}', victim.id)
    await ground.api().try(foreseen, `select email from contact where email = '${evil}'`)
    const session = await ground.raw()
    await session.try(foreseen, `select email from contact where email = '${evil}'`)
    await session.close()
  }
}

async function stack(ground: OurGround): Promise<void> {
  const { victim } = ground
  const second = [
    `delete from ${victim.schema}.note`,
    `set quickscale.context = '${victim.id}'; select * from contact`,
    'commit; begin; select * from contact',
    `rollback; set search_path = ${victim.schema}; select * from contact`,
    `select * from ${victim.schema}.contact`,
  ]
  for (const text of second) {
    await ground.api().try(refused, `select 1; ${text}`)
    const session = await ground.raw()
    await session.try(['rows', 'QS006', '22P02', '22023', '42P01'], `select 1; ${text}`)
    await session.close()
  }
}

/** Ends the transaction that holds the context, by every means, and goes on. */
async function commitAndGoOn(ground: OurGround): Promise<void> {
  const { victim } = ground
  const ends = [
    'commit',
    'rollback',
    'end',
    'abort',
    'commit and chain',
    'rollback to savepoint attempt',
    `prepare transaction 'x'`,
  ]
  for (const end of ends) {
    const session = await ground.raw()
    await session.try(['rows', '3B001', '55000'], end)
    await session.try(['rows', 'QS006', '25P02', '42P01'], `select * from ${victim.schema}.contact`)
    await session.close()
    await ground.transact('attacker', ['rows', 'TRANSACTION_FAILED', 'STATEMENT_REFUSED'], async (door) => {
      await door.try(['rows'], 'savepoint attempt')
      await door.try(['rows', ...refused], end)
      await door.try(['rows'], `select * from ${victim.schema}.contact`)
    })
  }
}

const doBlock = (setting: string, value: string, table: string) => `
  do $$
  declare found record;
  begin
    perform set_config('${setting}', '${value}', true);
    for found in select * from ${table} loop raise notice '%', found; end loop;
  end
  $$`

/** Objects of the attacker's that stand before the application's own in some name lookup. */
const shadows = (schema: string) => [
  'create temp table contact (id uuid, company_id uuid, email text, amount numeric, tenant_id uuid)',
  'create temp view contact as select 1',
  'create function pg_temp.left(text, integer) returns text language sql as $$ select $1 $$',
  'create table public.contact (email text)',
  `create table ${schema}.stolen (email text)`,
  `create view ${schema}.stolen as select * from ${schema}.contact`,
  `create function ${schema}.lower(text) returns text language sql as $$ select $1 $$`,
  'create function quickscale.tenant_id(integer) returns uuid language sql as $$ select null::uuid $$',
  'create schema stolen',
  'create domain pg_temp.uuid as pg_catalog.uuid',
  `create materialized view stolen as select * from ${schema}.contact`,
  `create table stolen as select * from ${schema}.contact`,
  `select * into stolen from ${schema}.contact`,
  `create trigger thief before insert on ${schema}.contact for each row execute function suppress_redundant_updates_trigger()`,
  `create rule thief as on insert to ${schema}.contact do also notify thief`,
  `create policy thief on ${schema}.contact using (true)`,
  `alter table ${schema}.contact disable row level security`,
  `alter table ${schema}.contact no force row level security`,
  `alter table ${schema}.contact owner to current_user`,
  `create operator public.= (leftarg = text, rightarg = text, function = texteq)`,
  'create extension if not exists dblink',
  `create server thief foreign data wrapper postgres_fdw`,
  `create publication thief for table ${schema}.contact`,
  `create statistics on email, amount from ${schema}.contact`,
]

/** A type of the attacker's in place of one that a definer function names without its schema; its check runs there. */
async function shadowTypes(ground: OurGround): Promise<void> {
  for (const type of ['bytea', 'uuid', 'text', 'int4', 'timestamptz']) {
    const session = await ground.raw({ at: 'victim', inside: null })
    const stolen = `pg_catalog.concat('stolen: ', value)::pg_catalog.int4 is null`
    await session.try(
      ['42501', 'rows'],
      `create function pg_temp.steal(value pg_catalog.${type}) returns boolean language sql
         as $$ select case when value is null then true else ${stolen} end $$;
       create domain pg_temp.${type} as pg_catalog.${type} check (pg_temp.steal(value))`,
    )
    // The first never was valid: the key it is checked with is derived from the gate that the attacker names.
    const tokens = [
      [`${ground.victim.id}|1|k1`, Buffer.alloc(25), Buffer.alloc(32)],
      ground.token('victim', { epoch: 9 }),
    ]
    for (const token of tokens) {
      const { text } = await session.try(['QS004', 'QS001'], 'select quickscale.enter($1, $2, $3)', token)
      const [found] = /stolen: [^"\\]*/.exec(text) ?? []
      if (found !== undefined) ground.ledger.leak(`enter() ran the attacker's check of a ${type}`)
    }
    await session.close()
  }
}

async function shadowTypesWithTemp(ground: OurGround): Promise<void> {
  const database = quoteIdentifier(ground.arena.databaseOf.victim.name)
  await ground.owner.query(`grant temporary on database ${database} to public`)
  try {
    await shadowTypes(ground)
  } finally {
    await ground.owner.query(`revoke temporary on database ${database} from public`)
  }
}

const shadowedDefiner: NaiveSeed = {
  design: 'open-definer',
  run: async (ground) => {
    const session = await ground.raw()
    await session.try(
      ['rows'],
      `create function pg_temp.steal(value pg_catalog.bytea) returns boolean language sql
         as $$ select string_agg(email, ',')::pg_catalog.int4 is null from app.contact $$;
       create domain pg_temp.bytea as pg_catalog.bytea check (pg_temp.steal(value))`,
    )
    await session.try(['22P02'], `select checksum_of('x')`)
  },
}

export const statementAttacks: readonly Attack[] = [
  {
    id: 'sql-injection',
    title: 'a query that the application puts together from strings',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const evil = `x' union all select set_config('app.current_tenant_id', '${ground.victim.id}', true)
          union all select email from contact --`
        await ground
          .request('attacker', 'session')
          .try(['rows'], `select email from contact where email = '${evil}'`)
      },
    },
    run: injectIntoString,
  },
  {
    id: 'stacked-statements',
    title: 'a second statement behind the first',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const text = `select 1; set app.current_tenant_id = '${ground.victim.id}'; select * from contact`
        await ground.request('attacker', 'session').try(['rows'], text)
      },
    },
    run: stack,
  },
  {
    id: 'commit-and-go-on',
    title: 'the transaction that holds the context is ended, the session goes on',
    naive: {
      design: 'no-context-means-all',
      run: async (ground) => {
        const session = await ground.raw({ inside: null })
        await session.try(['rows'], `begin; set local app.current_tenant_id = '${ground.attacker.id}'`)
        await session.try(['rows'], 'commit; select * from contact')
      },
    },
    run: commitAndGoOn,
  },
  {
    id: 'do-block',
    title: 'a DO block, which no result shows: it raises notices',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], doBlock('app.current_tenant_id', ground.victim.id, 'contact'))
      },
    },
    run: async (ground) => {
      const text = doBlock('quickscale.context', 'x', `${ground.victim.schema}.contact`)
      await ground.api().try(refused, text)
      const session = await ground.raw()
      await session.try(['42501', 'QS006', '22023'], text)
    },
  },
  {
    id: 'shadow-objects',
    title: "tables, functions, policies of the attacker's in the way of the application's",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const attacker = ground.request('attacker', 'session')
        await attacker.try(['rows'], 'create temp table note (contact_id uuid, body text)')
        const victim = ground.request('victim', 'session')
        await victim.try(['rows'], 'insert into note (body) values ($1)', [`private ${ground.victim.canary}`])
        await attacker.try(['rows'], 'select * from pg_temp.note')
      },
    },
    run: async (ground) => {
      const session = await ground.raw()
      for (const text of shadows(ground.arena.attacker.schema)) {
        await ground.api().try(refused, text)
        await session.try(['42501', '3F000', '42P16', '42704', '58P01'], text)
      }
    },
  },
  {
    id: 'shadow-types',
    title: 'types of the attacker in pg_temp, which definer functions would look up first',
    naive: shadowedDefiner,
    run: shadowTypes,
  },
  {
    id: 'shadow-types-with-temp',
    title: 'the same where somebody has granted TEMPORARY: one right must not be all that protects the keys',
    naive: shadowedDefiner,
    run: shadowTypesWithTemp,
  },
]
