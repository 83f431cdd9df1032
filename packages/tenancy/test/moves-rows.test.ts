import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import type { Move, Strategy, TenantHandle } from '../src/index.ts'
import { pushSequences, readSequences } from '../src/moves/sequences.ts'
import { type NoteTables, strategies, TestInstallation } from './support/installation.ts'

const migrations = [fileURLToPath(new URL('./support/moves', import.meta.url))]

const rows = `insert into thing (code, large, large_json, mood, moods, place, address, price, ratio, bytes, at, span, tags)
  select 'code ' || n, (select string_agg(md5(n || '-' || part), '') from generate_series(1, 400) as part),
         jsonb_build_object('n', n, 'text', repeat(md5(n::text), 300)), 'happy', '{sad,content}', row (n, -n, 'a "b", \\ (c)'::text)::point3,
         'a' || n || '@example.com', n + 0.123456789012345678901234567890, 1e-300 * n, '\\x00ff5c'::bytea,
         '2026-01-02 03:04:05.678901+00'::timestamptz + n * interval '1 microsecond', '1 mon 2 days 03:04:05.000006',
         array['x', null, E'tab\\t', E'line\\n', 'back\\slash', '{curly}', '']
    from generate_series(1, 40) as n`

/** What is written while the copy is followed. */
const changes = [
  // The large values stay: they are not in the log.
  'update thing set price = price + 1 where id between 1 and 10',
  "update thing set large = 'short now', large_json = null where id = 11",
  'update thing set id = id + 1000 where id between 12 and 15',
  'update thing set id = id + 1000, price = 0 where id = 1012',
  // Values of a unique key change hands.
  "update thing set code = case id when 16 then 'swap' else code end where id = 16",
  "update thing set code = 'code 16' where id = 17",
  "update thing set code = 'code 17' where id = 16",
  'delete from thing where id = 18',
  "insert into thing (id, code, price) values (18, 'again', 'NaN')",
  "insert into thing (code, price, ratio) values ('new', 'Infinity', '-Infinity')",
  "delete from thing where code = 'new'",
  'update thing set parent_id = 20 where id = 19',
  "insert into kind (name) values ('late')",
  "update thing set kind_id = (select id from kind where name = 'late') where id = 21",
  "delete from kind where name = 'early'",
  // From one partition to another.
  "update event set at = '2026-06-01' where id = 1",
  "update event set body = 'edited' where id = 2",
  "insert into event values (4, '2026-02-02', E'\\\\ \\t \\n')",
  'delete from event where id = 3',
  'update host set uses = uses + 1',
]

const contents = `select 'thing' as of, thing::text as row from thing union all select 'kind', kind::text from kind
  union all select 'event', event::text from event union all select 'host', host::text from host order by 1, 2`

/** Keeps a move from its switch: a transaction of the tenant that has written nothing. */
async function holdingBack(tenant: TenantHandle<NoteTables>, work: () => Promise<void>): Promise<void> {
  await tenant.transaction(async (transaction) => {
    await transaction.query('select 1')
    await work()
  })
}

/** Settles when the move has reached a state. */
function reaching(wanted: Move['state']): {
  reached: Promise<void>
  onProgress: (move: Pick<Move, 'state'>) => void
} {
  const { promise, resolve } = Promise.withResolvers<void>()
  return {
    reached: promise,
    onProgress: ({ state }) => {
      if (state === wanted) resolve()
    },
  }
}

describe.each(strategies)('rows of a tenant under %s', (from) => {
  let installation: TestInstallation

  beforeAll(async () => {
    installation = await TestInstallation.open(from, { migrations })
    for (const key of ['one', 'two']) {
      const tenant = installation.tenancy.tenant(key)
      await tenant.query("insert into kind (name) values ('early'), ('kept')")
      await tenant.query(rows)
      await tenant.query(
        "update thing set kind_id = (select id from kind where name = 'early') where id between 30 and 35",
      )
      await tenant.query(
        `insert into host select n % 2 = 0, 'c' || n, ('10.0.0.' || n)::inet,
           (select string_agg(md5(n || '-' || part), '') from generate_series(1, 400) as part) from generate_series(1, 6) as n`,
      )
      await tenant.query(
        "insert into event values (1, '2025-03-03', 'a'), (2, '2025-04-04', 'b'), (3, '2026-01-01', null)",
      )
    }
  })

  afterAll(async () => {
    await installation?.close()
  })

  const [to] = strategies.filter((other) => other !== from).reverse() as [Strategy]

  async function move(
    work: (tenant: TenantHandle<NoteTables>) => Promise<void>,
    direction: 'start' | 'rollback',
  ): Promise<Move> {
    const { tenancy } = installation
    const tenant = tenancy.tenant('one')
    const { reached, onProgress } = reaching(direction === 'start' ? 'streaming' : 'returning')
    const moving =
      direction === 'start'
        ? tenancy.moves.start('one', { to, onProgress })
        : tenancy.moves.rollback('one', { onProgress })
    await Promise.race([reached, moving])
    await holdingBack(tenant, () => work(tenant))
    return await moving
  }

  test('arrive as they are, whatever is done to them meanwhile, and come back', async () => {
    const { tenancy } = installation
    const one = tenancy.tenant('one')
    const neighbour = (await tenancy.tenant('two').query(contents)).rows
    let before: unknown
    const moved = await move(async (tenant) => {
      for (const change of changes) await tenant.query(change)
      before = (await tenant.query(contents)).rows
    }, 'start')
    expect(moved.state).toBe('active')
    const place = await tenancy.tenants.placement('one')
    expect(place.strategy).toBe(to)
    const text = (value: unknown) => JSON.stringify(value).replaceAll(/\(?tenant_[0-9a-f]{32}\.|app\./g, '')
    expect(text((await one.query(contents)).rows)).toBe(text(before))
    // No id is given out twice, and no trigger has counted what was only copied.
    const { rows: made } = await one.query("insert into thing (code) values ('after') returning id, touched")
    expect(made[0]?.touched).toBe(1)
    const returned = await move(async (tenant) => {
      await tenant.query('update thing set price = 7 where id between 5 and 8')
      await tenant.query("insert into kind (name) values ('there')")
      before = (await tenant.query(contents)).rows
    }, 'rollback')
    expect(returned.state).toBe('returned')
    expect(text((await one.query(contents)).rows)).toBe(text(before))
    await one.query("insert into thing (code) values ('back')")
    expect((await tenancy.tenant('two').query(contents)).rows).toEqual(neighbour)
  })

  test('are refused ids from a shared sequence that sessions draw ahead', async () => {
    const { moves } = installation.tenancy
    const other = from === 'rls' ? 'schema' : 'rls'
    const { id } = await installation.tenancy.tenants.get('one')
    const schema = from === 'schema' ? `tenant_${id.replaceAll('-', '')}` : 'app'
    const cached = (count: number) =>
      installation.asOwner('one', `alter sequence ${schema}.kind_id_seq cache ${count}`)
    await cached(20)
    expect((await moves.plan('one', { to: other })).obstacles).toContainEqual(
      expect.stringContaining('the sequence of kind.id has a CACHE'),
    )
    await cached(1)
  })

  test('stay, and leave nothing behind, when the move is cancelled', async () => {
    const { tenancy } = installation
    const { reached, onProgress } = reaching('streaming')
    const before = (await tenancy.tenant('one').query(contents)).rows
    const moving = tenancy.moves
      .start('one', { to, onProgress })
      .catch((error: { code: string }) => error.code)
    await Promise.race([reached, moving])
    let cancelled: Move | undefined
    await holdingBack(tenancy.tenant('one'), async () => {
      cancelled = await tenancy.moves.cancel('one')
    })
    expect(await moving).toBe('MOVE_CANCELLED')
    expect(cancelled?.state).toBe('cancelled')
    expect((await tenancy.tenant('one').query(contents)).rows).toEqual(before)
    const left = await installation.inCatalog(
      `select slot_name::text from pg_replication_slots where slot_name like 'quickscale_${cancelled?.id.replaceAll('-', '')}%'
       union all select datname::text from pg_database where datname = $1`,
      [cancelled?.target.strategy === 'database' ? cancelled.target.database : ''],
    )
    expect(left.rows).toEqual([])
    const { rows: ends } = await installation.asOwner(
      'one',
      `select role from quickscale.move_end union all select pubname from pg_publication
       union all select nspname from pg_namespace where nspname = $1`,
      [cancelled?.target.strategy === 'schema' ? cancelled.target.schema : ''],
    )
    expect(ends).toEqual([])
  })
})

test('a sequence is pushed ahead before its spare ids are used up, whichever way it goes, and never back', async () => {
  const client = new pg.Client({ connectionString: inject('databaseUrl') })
  await client.connect()
  try {
    await client.query(
      `create temporary sequence up start 1400; create temporary sequence down increment -1 start -1400;
       create temporary sequence far start 1600; select nextval('up'), nextval('down'), nextval('far')`,
    )
    const sequences = ['up', 'down', 'far'].map((name) => ({
      column: name,
      sequence: name,
      ascending: name !== 'down',
      cached: false,
    }))
    const tables = [{ name: 'thing', columns: [], key: [], sequences }]
    const source = new Map([
      ['thing.up', 1_000n],
      ['thing.down', -1_000n],
      ['thing.far', 1_000n],
    ])
    await pushSequences(client, tables, source)
    expect(await readSequences(client, tables)).toEqual(
      new Map([
        ['thing.up', 2_000n],
        ['thing.down', -2_000n],
        ['thing.far', 1_600n],
      ]),
    )
  } finally {
    await client.end()
  }
})
