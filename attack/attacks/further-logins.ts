import { decrypt, localKeyProvider } from '@quickscale/tenancy'
import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { asOwner } from '../installation.ts'
import { RawSession } from '../raw-session.ts'

const refused = ['STATEMENT_REFUSED']

/** A session of a login that the library keeps for something else than requests, with its real password. */
async function openFurther(ground: OurGround, purpose: 'reader' | 'unscoped'): Promise<RawSession> {
  const { installation, arena, ledger } = ground
  const { id, name } = arena.databaseOf.victim
  const { role, password } = await asOwner(
    installation.connection(`${installation.name}_catalog`),
    async (owner) => {
      const { rows } = await owner.query(
        'select role_name, credential from catalog.login where database_id = $1 and purpose = $2',
        [id, purpose],
      )
      const keys = localKeyProvider(installation.masterKey)
      return {
        role: String(rows[0]?.role_name),
        password: await decrypt(keys, rows[0]?.credential, `${purpose} login of database ${id}`),
      }
    },
  )
  const { hostname, port } = new URL(installation.connection(name).connectionString ?? '')
  const config = { host: hostname, port: Number(port), database: name, user: role, password }
  return await RawSession.open(config, ledger, 'attacker')
}

const writes = (schema: string) => [
  `update ${schema}.note set body = 'changed'`,
  `delete from ${schema}.contact`,
  `insert into ${schema}.note (body) values ('planted')`,
]

/** A fleet query runs in every place; none of these shows a row. */
async function writeThroughFleet(ground: OurGround): Promise<void> {
  const { fleet } = ground.installation.tenancy()
  const texts = [
    ...writes('app').map((text) => text.replace('app.', '')),
    `with gone as (delete from note) select 1`,
    'set local transaction read write',
    'set local role quickscale_owner',
    'select 1; delete from note',
    `select set_config('transaction_read_only', 'off', true)`,
    'truncate note',
    `copy note to program 'cat'`,
  ]
  for (const text of texts) {
    for await (const { tenant, error } of fleet.query(text)) {
      const code = error === null ? 'rows' : String((error as { code?: string }).code)
      // Alone in its transaction, a setting that is accepted ends with it.
      const harmless = text.startsWith('set local') || text.includes('set_config') ? ['rows'] : []
      ground.ledger.note('attacker', `${text} in ${tenant.slug}`, { code, text: '', rows: [] }, [
        ...refused,
        '25006',
        '25001',
        '42501',
        ...harmless,
      ])
    }
  }
  const session = await openFurther(ground, 'reader')
  const { schema } = ground.victim
  for (const text of [
    'set default_transaction_read_only = off',
    'begin read write',
    'set role quickscale_runtime',
    'set role quickscale_owner',
    ...writes(schema),
    `select * from ${schema}.contact`,
    `lock table ${schema}.contact in access exclusive mode`,
    'select quickscale.enter_unscoped()',
    'select * from quickscale.token_key',
    `alter role current_user set default_transaction_read_only = off`,
    `create table ${schema}.loot (line text)`,
  ]) {
    await session.try(['rows', '42501', '42P01', '25006', 'QS006'], text)
  }
  await session.close()
}

/** The unscoped login is past policies; what tenant code has is not it, and its use leaves a line. */
async function useUnscoped(ground: OurGround): Promise<void> {
  const { installation, arena, victim, ledger } = ground
  const { admin } = installation.tenancy()
  const lines = async () =>
    await asOwner(installation.connection(`${installation.name}_catalog`), async (owner) => {
      const { rows } = await owner.query(
        `select count(*)::integer as count from catalog.audit where action like 'admin.%'`,
      )
      return Number(rows[0]?.count)
    })
  const attempt = async (what: string, expected: readonly string[], work: () => Promise<unknown>) => {
    const code = await work().then(
      () => 'rows',
      (error: { code?: string }) => String(error.code),
    )
    ledger.note('attacker', what, { code, text: '', rows: [] }, expected)
  }
  const before = await lines()
  for (const use of [
    { who: '', why: 'x' },
    { who: 'x', why: ' ' },
  ]) {
    await attempt('an unexplained use', ['ADMIN_UNEXPLAINED'], () =>
      admin.transaction(use, (tx) => tx.query(`select * from ${victim.schema}.contact`)),
    )
  }
  if ((await lines()) !== before) ledger.leak('a refused use was carried out')
  await attempt('a use that ends its own transaction', refused, () =>
    admin.transaction({ who: 'x', why: 'x', tenant: victim.slug }, async (tx) => {
      await tx.query('commit')
    }),
  )
  if ((await lines()) < before + 2) ledger.leak('the unscoped path was used without a line in the audit log')
  const session = await ground.raw()
  const unscoped = `${arena.databaseOf.victim.login}_unscoped`
  for (const text of [
    `set role "${unscoped}"`,
    `set session authorization "${unscoped}"`,
    `grant "${unscoped}" to current_user`,
    'select quickscale.enter_unscoped()',
    'set role quickscale_unscoped',
  ]) {
    await session.try(['42501', '22023'], text)
    await session.try(['rows', '42501', '42P01'], `select * from ${victim.schema}.contact`)
  }
  // Past policies, but owner of nothing, and without the keys.
  const further = await openFurther(ground, 'unscoped')
  for (const text of [
    `alter table ${victim.schema}.contact disable row level security`,
    'select * from quickscale.token_key',
    'select * from quickscale.context_key',
    `update quickscale.placement set state = 'active'`,
    'set role quickscale_owner',
    `truncate ${victim.schema}.note`,
    'create table public.loot (line text)',
    `select pg_read_file('postgresql.conf')`,
  ]) {
    await further.try(['42501', '42P01'], text)
  }
  await further.close()
}

export const operatorRoleAttacks: readonly Attack[] = [
  {
    id: 'fleet-write',
    title: "a query over the fleet that writes, or becomes somebody who can; the reader's own login",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        // Read-only by a setting, which whoever is connected can change.
        const session = await ground.raw({ role: 'owner' })
        await session.try(['rows'], 'set default_transaction_read_only = on')
        await session.try(['rows'], `begin read write; delete from note; commit`)
      },
    },
    run: writeThroughFleet,
  },
  {
    id: 'unscoped-login',
    title: 'the unscoped path: used without a reason, past its audit, from the code of a tenant',
    naive: {
      design: 'role-switch',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], `set role "${ground.ownerRole}"; select * from contact`)
      },
    },
    run: useUnscoped,
  },
]
