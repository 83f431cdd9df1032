// Which operators may run before a policy: those that can say nothing about what they are given.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
