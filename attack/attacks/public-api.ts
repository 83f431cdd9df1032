import type { Attack } from '../attack.ts'
import type { OurGround } from '../ground.ts'
import { observe } from '../outcome.ts'

const badKey = ['TENANT_KEY_INVALID']

/** Whatever an application may pass on from a URL, a cookie or a message. */
function oddKeys({
  victim,
  installation,
}: OurGround): (readonly [key: unknown, expected: readonly string[]])[] {
  const missing = ['TENANT_NOT_FOUND']
  return [
    ...['', ' ', '../x', `a'; drop table contact; --`, '*', '%', `${victim.slug}%`, '__proto__'].map(
      (key) => [key, badKey] as const,
    ),
    ...[null, undefined, 0, true, [victim.slug], { toString: () => victim.slug }].map(
      (key) => [key, badKey] as const,
    ),
    ...[`${victim.slug}\0`, ` ${victim.slug}`, `${victim.slug}\n`, victim.slug.toUpperCase()].map(
      (key) => [key, badKey] as const,
    ),
    [victim.slug.replace('v', '\u{ff56}'), badKey],
    [`{${victim.id}}`, badKey],
    [victim.id.replaceAll('-', ''), missing],
    ['default', missing],
    ['public', missing],
    ['constructor', missing],
    [crypto.randomUUID(), missing],
    ['00000000-0000-0000-0000-000000000000', missing],
    [installation.arenas.rls.databaseOf.victim.id, missing],
    [victim.ids.company, missing],
  ]
}

async function useOddKeys(ground: OurGround): Promise<void> {
  const tenancy = ground.installation.tenancy()
  for (const [key, expected] of oddKeys(ground)) {
    const label = `tenant ${JSON.stringify(key)}`
    const query = await observe(() => tenancy.tenant(key as string).query('select * from contact'))
    ground.ledger.note('attacker', label, query, expected)
    const run = await observe(() =>
      tenancy.run(key as string, async () => await tenancy.current().query('select * from contact')),
    )
    ground.ledger.note('attacker', label, run, expected)
  }
  const nobody = await observe(async () => await tenancy.current().query('select * from contact'))
  ground.ledger.note('attacker', 'no tenant', nobody, ['TENANT_MISSING'])
}

async function forgeActors(ground: OurGround): Promise<void> {
  const { victim } = ground
  const text =
    'select quickscale.actor_role(), quickscale.actor_id(), quickscale.tenant_id(), count(*) from contact'
  const odd = [
    'x|admin',
    `|${victim.id}`,
    'admin|',
    '\0',
    'a\nb',
    '\x7f',
    'x'.repeat(129),
    null,
    7,
    ['admin'],
  ]
  for (const value of odd) {
    for (const actor of [
      { id: value, role: 'member' },
      { id: 'u1', role: value },
    ]) {
      const outcome = await observe(
        async () => await ground.handle('attacker', { actor: actor as never }).query(text),
      )
      ground.ledger.note('attacker', `actor ${JSON.stringify(actor)}`, outcome, ['ACTOR_INVALID'])
    }
  }
  // What is accepted must come out as it went in.
  for (const value of ["a' or true --", 'ａdmin', '\u{1f600}', ' admin ', '\\x00', 'a,b', '']) {
    const result = ground
      .handle('attacker', { actor: { id: value, role: 'member' } })
      .query({ text, rowMode: 'array' })
    const outcome = await observe(() => result)
    ground.ledger.note('attacker', `actor ${JSON.stringify(value)}`, outcome, ['rows'])
    const [role, id] = outcome.rows[0] ?? []
    if (role !== 'member' || (id ?? '') !== value)
      ground.ledger.leak(`the actor ${value} became ${role}, ${id}`)
  }
}

export const publicApiAttacks: readonly Attack[] = [
  {
    id: 'odd-keys',
    title: "tenant keys that are empty, null, odd, or look like the victim's",
    naive: {
      design: 'no-context-means-all',
      run: async (ground) => {
        const client = await ground.pool.connect()
        await client.query(`select set_config('app.current_tenant_id', $1, false)`, [''])
        const outcome = await observe(() => client.query('select * from contact'))
        ground.ledger.note('attacker', "tenant ''", outcome, ['rows'])
        client.release()
      },
    },
    run: useOddKeys,
  },
  {
    id: 'actor-with-delimiter',
    title: "an actor whose fields hold the context's delimiter",
    naive: {
      design: 'delimited-context',
      run: async (ground) => {
        const actor = { role: `member|${ground.victim.id}`, id: 'u1' }
        const context = [actor.role, ground.attacker.id, actor.id].join('|')
        const session = await ground.raw()
        await session.try(['rows'], `select set_config('app.context', $1, false)`, [context])
        await session.try(['rows'], 'select * from contact')
      },
    },
    run: forgeActors,
  },
]
