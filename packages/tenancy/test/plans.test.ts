import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { TestInstallation } from './support/installation.ts'

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Parent Relationship'?: string
  readonly 'Index Name'?: string
  readonly 'Index Cond'?: string
  readonly 'Index Searches'?: number
  readonly Filter?: string
  readonly 'Actual Loops'?: number
  readonly Plans?: readonly PlanNode[]
}

/** Every node of a statement's plan, which has run. */
type Explain = (text: string) => Promise<PlanNode[]>

const LOOKUP = 'select * from note where id = 7'
const UNIQUE_LOOKUP = `select id from author where name = 'Author 7'`
const JOIN =
  'select author.name, note.body from note join author on author.id = note.author_id where note.id = 7'
const PAGE = 'select id from note order by created_at desc limit 20'
const INSERT = `insert into note (id, body) select n, 'x' from generate_series(5001, 5100) as n`

/** Plans for a tenant with 2,000 notes, one of 21 such tenants where they share the tables. */
function plansUnder(strategy: Strategy): Explain {
  let installation: TestInstallation
  beforeAll(async () => {
    installation = await TestInstallation.open(strategy)
    const { schemaName } = await installation.tenancy.tenants.placement('one')
    const { id } = await installation.tenancy.tenants.get('one')
    const others = strategy === 'rls' ? 20 : 0
    const rows = `generate_series(1, 2000) as number,
      (select $1::uuid as tenant_id union all select gen_random_uuid() from generate_series(1, ${others})) as tenants`
    await installation.asOwner(
      'one',
      `with authors as (
         insert into ${schemaName}.author (id, name, tenant_id)
         select number, 'Author ' || number, tenant_id from ${rows} returning id, tenant_id
       )
       insert into ${schemaName}.note (id, body, author_id, created_at, tenant_id)
       select id, 'note', id, now() - id * interval '1 minute', tenant_id from authors`,
      [id],
    )
    await installation.asOwner('one', `analyze ${schemaName}.note, ${schemaName}.author`)
  })
  afterAll(() => installation.close())
  return async (text) => {
    const explain = `explain (analyze, costs off, timing off, summary off, format json) ${text}`
    const { rows } = await installation.onRawConnection('one', explain)
    return nodesOf(rows[0]?.['QUERY PLAN'][0].Plan)
  }
}

function nodesOf(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
}

/** The condition by which an index was searched. PostgreSQL 18 could skip a leading column, at the price of several
 * searches, and counts them. */
function conditionOn(index: string, nodes: readonly PlanNode[]): string | undefined {
  const scan = nodes.find((node) => node['Index Name'] === index)
  expect(scan, `no scan of ${index} but ${nodes.map((node) => node['Node Type']).join(', ')}`).toBeDefined()
  expect(scan?.['Index Searches'] ?? 1).toBe(1)
  return scan?.['Index Cond']
}

function sorts(nodes: readonly PlanNode[]): PlanNode[] {
  return nodes.filter((node) => /Sort$/.test(node['Node Type']))
}

function filters(nodes: readonly PlanNode[]): string[] {
  return nodes.flatMap(({ Filter }) => Filter ?? [])
}

function initPlanLoops(nodes: readonly PlanNode[]): (number | undefined)[] {
  return nodes
    .filter((node) => node['Parent Relationship'] === 'InitPlan')
    .map((node) => node['Actual Loops'])
}

// The policy supplies `tenant_id = …`, which comes first in every index.
describe.each(['rls', 'schema'] as const)('a plan under the %s strategy', (strategy) => {
  const explain = plansUnder(strategy)

  test('of a lookup by id uses the key led by tenant_id', async () => {
    const nodes = await explain(LOOKUP)
    expect(conditionOn('note_pkey', nodes)).toMatch(/^\(\(tenant_id = [^=]+\) AND \(id = 7\)\)$/)
    expect(filters(nodes)).toEqual([])
  })

  test('of a lookup by a unique column uses its key led by tenant_id', async () => {
    const nodes = await explain(UNIQUE_LOOKUP)
    expect(conditionOn('author_name_key', nodes)).toMatch(
      /^\(\(tenant_id = [^=]+\) AND \(name = 'Author 7'::text\)\)$/,
    )
    expect(filters(nodes)).toEqual([])
  })

  test('of a join along a foreign key uses the key led by tenant_id', async () => {
    const condition = conditionOn('author_pkey', await explain(JOIN))
    expect(condition).toMatch(/^\(\(tenant_id = [^=]+\) AND \(id = note\.author_id\)\)$/)
  })

  test('of a page uses the index led by tenant_id, in its order', async () => {
    const nodes = await explain(PAGE)
    expect(conditionOn('note_created_at', nodes)).toMatch(/^\(tenant_id = [^=]+\)$/)
    expect([...sorts(nodes), ...filters(nodes)]).toEqual([])
  })

  test('evaluates the policy once per table, as an InitPlan, however many rows there are', async () => {
    expect(initPlanLoops(await explain('select count(*) from note'))).toEqual([1])
    const joined = await explain('select count(*) from note a join note b using (id)')
    expect(initPlanLoops(joined)).toEqual([1, 1])
  })

  test('checks a written row against the context once', async () => {
    expect(initPlanLoops(await explain(INSERT))).toEqual([1])
  })
})

// The policy is folded to true and supplies nothing: every index begins with its author's columns.
describe('a plan under the database strategy', () => {
  const explain = plansUnder('database')

  test('of a lookup by id uses the key, which begins with id', async () => {
    const nodes = await explain(LOOKUP)
    expect(conditionOn('note_pkey', nodes)).toBe('(id = 7)')
    expect(filters(nodes)).toEqual([])
  })

  test('of a lookup by a unique column uses its key, which begins with that column', async () => {
    const nodes = await explain(UNIQUE_LOOKUP)
    expect(conditionOn('author_name_key', nodes)).toBe(`(name = 'Author 7'::text)`)
    expect(filters(nodes)).toEqual([])
  })

  test('of a join along a foreign key uses the key, which begins with id', async () => {
    expect(conditionOn('author_pkey', await explain(JOIN))).toBe('(id = note.author_id)')
  })

  test('of a page uses the index as its author wrote it, in its order', async () => {
    const nodes = await explain(PAGE)
    expect(conditionOn('note_created_at', nodes)).toBeUndefined()
    expect([...sorts(nodes), ...filters(nodes)]).toEqual([])
  })

  test('has no trace of the policy, whether rows are read or written', async () => {
    for (const text of ['select count(*) from note a join note b using (id)', INSERT]) {
      const nodes = await explain(text)
      expect([...initPlanLoops(nodes), ...filters(nodes)]).toEqual([])
    }
  })
})
