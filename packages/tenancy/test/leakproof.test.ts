// Which operators may run before a policy: those that can say nothing about what they are given.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestInstallation } from './support/installation.ts'

let installation: TestInstallation
let admin: pg.Client

beforeAll(async () => {
  const migrations = [join(import.meta.dirname, 'support/leakproof')]
  installation = await TestInstallation.open('rls', { migrations })
  admin = new pg.Client({ connectionString: await installation.urlOf('one') })
  await admin.connect()
})
afterAll(async () => {
  await admin.end()
  await installation.close()
})

test('exactly the operators of the document are marked', async () => {
  const document = await readFile(join(import.meta.dirname, '../../../docs/internals/leakproof.md'), 'utf8')
  const marked = document.slice(document.indexOf('## Marked'), document.indexOf('## Not marked'))
  const documented = [...marked.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  // What PostgreSQL has marked itself is so in the template that nobody changes.
  const url = new URL(await installation.urlOf('one'))
  url.pathname = '/template1'
  const untouched = new pg.Client({ connectionString: url.href })
  await untouched.connect()
  const list =
    'select oid::regprocedure::text as name, proname from pg_proc where proleakproof and oid < 16384'
  const [ours, stock] = await Promise.all([admin.query(list), untouched.query(list)])
  await untouched.end()
  const before = new Set(stock.rows.map(({ name }) => name))
  const added = ours.rows.filter(({ name }) => !before.has(name)).map(({ proname }) => proname)
  expect(documented.length).toBe(15)
  expect(added.sort()).toEqual(documented.sort())
})

test('what is LEAKPROOF among the library’s own functions looks at nothing', async () => {
  const { rows } = await admin.query(
    `select proname, lanname, prosrc from pg_proc join pg_language on pg_language.oid = prolang
      where proleakproof and pg_proc.oid >= 16384 order by proname`,
  )
  expect(rows).toEqual(
    ['may_contain', 'may_match', 'may_resemble'].map((proname) => ({
      proname,
      lanname: 'internal',
      prosrc: 'btequalimage',
    })),
  )
})

/** What tenant `one` can tell about the rows of `two`, from a condition on its own. */
async function outcomeOf(condition: string, planned: 'run' | 'explained'): Promise<string> {
  const text = `${planned === 'run' ? '' : 'explain '}select count(*) from secret where ${condition}`
  try {
    const results = await installation.onRawConnection('one', `set local enable_seqscan = off; ${text}`)
    return JSON.stringify([results].flat().at(-1)?.rows)
  } catch (error) {
    if (error instanceof pg.DatabaseError) return String(error.code)
    throw error
  }
}

describe('an error that depends on the row of another tenant', () => {
  const words = (guess: string, terms: number) =>
    `(select ('${guess} & (' || repeat('a <-> ', ${terms}) || 'a)')::tsquery offset 0)`
  const nested = (levels: number) =>
    `(select (repeat('[', ${levels}) || repeat(']', ${levels}))::jsonb offset 0)`

  beforeAll(async () => {
    await installation.tenancy
      .tenant('two')
      .query(`insert into secret (id, words, data) values (1, 'merger:1 a:2', ${nested(6_000)})`)
  })

  test('tells what it holds, if @@ is marked, and does not, as it is not', async () => {
    const ask = async () => [
      await outcomeOf(`words @@ ${words('merger', 25_000)}`, 'run'),
      await outcomeOf(`words @@ ${words('absent', 25_000)}`, 'run'),
    ]
    await admin.query('alter function pg_catalog.ts_match_vq leakproof')
    const marked = await ask()
    await admin.query('alter function pg_catalog.ts_match_vq not leakproof')
    expect(marked).toEqual(['54001', '[{"count":"0"}]'])
    expect(new Set(await ask())).toEqual(new Set(['[{"count":"0"}]']))
  })

  test('could be had through indexes that are not led by tenant_id, which lead to rows of all tenants', async () => {
    await admin.query(`
      create index words_only on app.secret using gin (words);
      create index data_only on app.secret using gin (data)`)
    const used = await outcomeOf(
      `words operator(quickscale.@@) quickscale.bound_query('merger')`,
      'explained',
    )
    expect(used).toContain('words_only')
  })

  test.each([
    ['a query that is too deep', (guess: string) => words(guess, 25_000)],
    ['the same, bound', (guess: string) => `quickscale.bound_query(${words(guess, 25_000)})`],
    ['the deepest that is asked for', (guess: string) => `quickscale.bound_query(${words(guess, 126)})`],
  ])('cannot be had from the operator of hints, with %s', async (name, query) => {
    const ask = (guess: string, how: 'run' | 'explained') =>
      outcomeOf(`words operator(quickscale.@@) ${query(guess)}`, how)
    const none = '[{"count":"0"}]'
    expect([await ask('merger', 'run'), await ask('absent', 'run')]).toEqual([none, none])
    const plan = await ask('merger', 'explained')
    expect(plan.replaceAll('merger', 'absent')).toBe(await ask('absent', 'explained'))
    // A cast to the domain is not LEAKPROOF: it comes after the policy, and finds no row to complain about.
    expect(plan.includes('Index Cond: (words OPERATOR')).toBe(name !== 'a query that is too deep')
  })

  test('cannot be had from the operator of hints for documents', async () => {
    for (const levels of [1, 5_900, 6_100]) {
      const condition = `data operator(quickscale.@>) quickscale.bound_document(${nested(levels)})`
      expect(await outcomeOf(condition, 'run')).toBe('[{"count":"0"}]')
      expect(await outcomeOf(condition, 'explained')).toContain('Index Cond: (data OPERATOR')
    }
  })
})

describe('a pattern that is an error for the text of another tenant', () => {
  beforeAll(async () => {
    await installation.tenancy
      .tenant('two')
      .query("insert into secret (id, body) select i, 'merger with ' || i from generate_series(1, 20) i")
    // Not led by tenant_id: it leads to the rows of all tenants.
    await admin.query(`
      create extension pg_trgm schema extensions;
      select quickscale.hint_trigrams();
      create index body_only on app.secret using gin (body extensions.gin_trgm_ops);
      analyze app.secret`)
  })
  const texts = (condition: (guess: string) => string, how: 'run' | 'explained') =>
    Promise.all(['merger', 'absent'].map((guess) => outcomeOf(condition(guess), how)))

  test('tells what it holds, if LIKE is marked, and does not, as it is not', async () => {
    const like = (guess: string) => `body like ('${guess}' || chr(92))`
    await admin.query('alter function pg_catalog.textlike leakproof')
    const marked = await texts(like, 'run')
    await admin.query('alter function pg_catalog.textlike not leakproof')
    expect(marked).toEqual(['22025', '[{"count":"0"}]'])
    expect(await texts(like, 'run')).toEqual(['[{"count":"0"}]', '[{"count":"0"}]'])
  })

  test.each(['', '%', '_'])(
    'cannot be had from the operator of hints for patterns that begin with "%s"',
    async (first) => {
      const hint = (guess: string) =>
        `body operator(quickscale.~~) quickscale.bound_pattern('${first}${guess}' || chr(92))`
      expect(await texts(hint, 'run')).toEqual(['[{"count":"0"}]', '[{"count":"0"}]'])
      const [merger, absent] = await texts(hint, 'explained')
      expect(merger?.replaceAll('merger', 'absent')).toBe(absent)
      expect(merger).toContain('Index Cond: (body OPERATOR')
    },
  )
})

test('no marked operator raises or says anything, whatever it is given', async () => {
  const notices: unknown[] = []
  admin.on('notice', (notice) => notices.push(notice))
  await admin.query('begin')
  await admin.query(`
    create type mood as enum ('b', 'd');
    alter type mood add value 'a' before 'b';
    alter type mood add value 'c' before 'd'`)
  await admin.query('commit')
  const numbers = `('NaN'), ('Infinity'), ('-Infinity'), (0), ('-0.000'), (1e1000), (-1e-1000), (1::numeric / 3), (repeat('9', 131072)::numeric)`
  const documents = `('null'), ('1'), ('"a"'), ('{}'), ('[]'), ('{"a": 1, "": 2}'), ('["a", null, {"b": []}]'), ((repeat('[', 6000) || repeat(']', 6000))::jsonb)`
  for (const operator of ['=', '<>', '<', '<=', '>', '>=']) {
    await admin.query(
      `with n (v) as (values ${numbers.replace('(', '(numeric ')}) select count(*) from n a, n b where a.v ${operator} b.v`,
    )
    await admin.query(
      `with n as (select unnest(enum_range(null::mood)) as v) select count(*) from n a, n b where a.v ${operator} b.v`,
    )
  }
  await admin.query(
    `with d (v) as (values ${documents.replace("('null')", "(jsonb 'null')")}) select count(*) from d where v ? '' or v ? 'a' or v ? repeat('x', 1000000)`,
  )
  for (const operator of ['?|', '?&']) {
    await admin.query(`with d (v) as (values ${documents.replace("('null')", "(jsonb 'null')")})
      select count(*) from d, (values ('{}'::text[]), ('{null}'), ('{a,null,""}'), ('{{a,b},{c,d}}')) k (v) where d.v ${operator} k.v`)
  }
  await admin.query('drop type mood')
  expect(notices).toEqual([])
})
