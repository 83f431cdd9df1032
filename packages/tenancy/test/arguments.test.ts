// What somebody without a type checker, or with a value out of JSON, passes to the front door.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Tenancy } from '../src/index.ts'
import { TestInstallation } from './support/installation.ts'

let installation: TestInstallation
let tenancy: Tenancy

beforeAll(async () => {
  installation = await TestInstallation.open('rls')
  tenancy = installation.tenancy as unknown as Tenancy
})
afterAll(() => installation.close())

const one = () => tenancy.tenant('one')
const note = (rows: unknown, columns: unknown = ['id', 'body'], table: unknown = 'note') =>
  one().bulkInsert(table as never, columns as never, rows as never)
const tenant = { slug: 'three', name: 'Three', plan: 'rls' }

const refused: readonly [what: string, code: string, call: () => Promise<unknown>][] = [
  ['create(undefined)', 'ARGUMENT_INVALID', () => tenancy.tenants.create(undefined as never)],
  ['begin(null)', 'ARGUMENT_INVALID', () => tenancy.tenants.begin(null as never)],
  [
    'create() with members that are no list',
    'MEMBER_INVALID',
    () => tenancy.tenants.create({ ...tenant, members: {} as never }),
  ],
  [
    'create() with a member that is null',
    'MEMBER_INVALID',
    () => tenancy.tenants.create({ ...tenant, members: [null as never] }),
  ],
  [
    'create() with a misspelt region',
    'ARGUMENT_INVALID',
    () => tenancy.tenants.create({ ...tenant, regoin: 'eu' } as never),
  ],
  [
    'update() with a slug',
    'ARGUMENT_INVALID',
    () => tenancy.tenants.update('one', { name: 'One', slug: 'other' } as never),
  ],
  [
    'rename() with a plan',
    'ARGUMENT_INVALID',
    () => tenancy.tenants.rename('one', { slug: 'other', plan: 'rls' } as never),
  ],
  ['update() without changes', 'ARGUMENT_INVALID', () => tenancy.tenants.update('one', undefined as never)],
  ['rename() to a string', 'ARGUMENT_INVALID', () => tenancy.tenants.rename('one', 'other' as never)],
  ['suspend() with a string', 'ARGUMENT_INVALID', () => tenancy.tenants.suspend('one', 'unpaid' as never)],
  [
    'list() with a limit that is no number',
    'ARGUMENT_INVALID',
    () => tenancy.tenants.list({ limit: Number.NaN }),
  ],
  ['members.put() without a member', 'MEMBER_INVALID', () => tenancy.members.put('one', undefined as never)],
  ['bulkInsert() without rows', 'ARGUMENT_INVALID', () => note(null)],
  ['bulkInsert() with rows that are an object', 'ARGUMENT_INVALID', () => note({})],
  ['bulkInsert() with a column in place of a list', 'ARGUMENT_INVALID', () => note([], 'body')],
  ['bulkInsert() with a number for a name', 'IDENTIFIER_INVALID', () => note([[1]], [7])],
  ['bulkInsert() without a table', 'IDENTIFIER_INVALID', () => note([[1]], ['id'], null)],
  [
    'bulkInsert() in batches of NaN',
    'ARGUMENT_INVALID',
    () => one().bulkInsert('note', ['id'], [], { batchRows: Number.NaN }),
  ],
  [
    'stream() in batches of NaN',
    'ARGUMENT_INVALID',
    () => one().stream('select 1', [], { batchSize: Number.NaN }).next(),
  ],
  [
    'values that are an object',
    'STATEMENT_REFUSED',
    () => one().query('insert into note (id, body) values (9, $1)', { body: 'lost' } as never),
  ],
  [
    'values that are an object in a transaction',
    'STATEMENT_REFUSED',
    () =>
      one().transaction(({ query }) =>
        query('insert into note (id, body) values (9, $1)', { body: 'lost' } as never),
      ),
  ],
  [
    'values that are an object on a pool',
    'STATEMENT_REFUSED',
    () => one().pool.query('insert into note (id, body) values (9, $1)', { body: 'lost' } as never),
  ],
  [
    'more values than a statement can have',
    'STATEMENT_REFUSED',
    () => one().query('insert into note (id, body) values (9, $1)', Array(65_537).fill('lost')),
  ],
  ['values that are a string', 'STATEMENT_REFUSED', () => one().query('select $1', 'x' as never)],
  ['transaction() without a function', 'ARGUMENT_INVALID', () => one().transaction(undefined as never)],
  ['run() without a function', 'ARGUMENT_INVALID', () => tenancy.run('one', undefined as never)],
  ['fleet.forEach() without a function', 'ARGUMENT_INVALID', () => tenancy.fleet.forEach(undefined as never)],
  [
    'fleet.forEach() for NaN tenants at a time',
    'ARGUMENT_INVALID',
    () => tenancy.fleet.forEach(async () => 1, { concurrency: Number.NaN }),
  ],
  [
    'admin.transaction() without a reason',
    'ADMIN_UNEXPLAINED',
    () => tenancy.admin.transaction(undefined as never, async () => 1),
  ],
  [
    'admin.transaction() without a function',
    'ARGUMENT_INVALID',
    () => tenancy.admin.transaction({ who: 'ann', why: 'to see' }, undefined as never),
  ],
  ...[Number.NaN, -1, 1e9, '5'].map(
    (graceSeconds) =>
      [
        `keys.rotate() in ${graceSeconds} seconds`,
        'ARGUMENT_INVALID',
        () => tenancy.keys.rotate({ graceSeconds: graceSeconds as never }),
      ] as const,
  ),
  ['rebalance() without a plan', 'ARGUMENT_INVALID', () => tenancy.servers.rebalance(undefined as never)],
  ['rebalance() with a plan without moves', 'ARGUMENT_INVALID', () => tenancy.servers.rebalance({} as never)],
  ['servers.get() without a name', 'SERVER_UNKNOWN', () => tenancy.servers.get(undefined as never)],
].map(([what, code, call]) => [what, code, call] as [string, string, () => Promise<unknown>])

test.each(refused)('%s is refused as %s, with a remedy', async (_what, code, call) => {
  const error = await call().then(
    (value) => ({ accepted: value }),
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ code, remedy: expect.stringMatching(/./) })
})

test('what was refused has done nothing', async () => {
  const { rows } = await one().query('select id from note where id = 9')
  expect(rows).toEqual([])
  expect(await tenancy.tenants.get('one')).toMatchObject({ state: 'active', slug: 'one' })
  await expect(tenancy.tenants.get('three')).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
})
