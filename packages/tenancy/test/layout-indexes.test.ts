import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findLayoutFaults, type Wall } from '../src/layout/compile.ts'
import { failureOf, LayoutDatabase, type TestPlace } from './support/layout-database.ts'
import { shapeLines, snapshotOfShape } from './support/layout-snapshot.ts'

const TABLE = `
  create table papers (
    id integer primary key, title text not null, body text, pages integer, tags text[], span int4range, spot point,
    extra jsonb, made timestamptz not null default now(), draft boolean not null default false,
    words tsvector generated always as (to_tsvector('simple', title || ' ' || coalesce(body, ''))) stored,
    twice integer generated always as (pages * 2) stored
  );`
const INDEXES = [
  'create unique index papers_title on papers (lower(title)) where not draft;',
  'create unique index papers_pages on papers (pages) nulls not distinct where draft and pages > 0;',
  'create unique index on papers (lower(title), (pages + 1)) include (body);',
  'create index papers_mixed on papers (lower(title) collate "C" text_pattern_ops desc, made desc nulls last) include (pages, draft) with (fillfactor = 80) where (pages > 3) or title = \'all\';',
  'create index on papers (coalesce(pages, 0), twice);',
  'create index on papers ((case when draft then 1 else 2 end));',
  'create index papers_hash on papers using hash (title);',
  'create index papers_made on papers using brin (made, id) with (pages_per_range = 16);',
  'create index papers_bloom on papers using brin (title text_bloom_ops (n_distinct_per_range = 50));',
  'create index papers_words on papers using gin (words) with (fastupdate = off);',
  'create index papers_tags on papers using gin (tags, extra jsonb_path_ops) where not draft;',
  'create index papers_span on papers using gist (span, spot) include (id);',
  'create index papers_signed on papers using gist (words tsvector_ops (siglen = 64));',
  'create index papers_spot on papers using spgist (spot kd_point_ops);',
]
const EXPECTED = [
  'UNIQUE papers_lower_expr_body_idx btree (@lower(title), ((pages + 1))@) INCLUDE (body)',
  'UNIQUE papers_pages btree (@pages@) NULLS NOT DISTINCT WHERE (draft AND (pages > 0))',
  'UNIQUE papers_pkey btree (@id@)',
  'UNIQUE papers_title btree (@lower(title)@) WHERE (NOT draft)',
  "papers_bloom brin (title text_bloom_ops (n_distinct_per_range='50'))",
  'papers_case_idx btree (+( CASE WHEN draft THEN 1 ELSE 2 END))',
  'papers_coalesce_twice_idx btree (+COALESCE(pages, 0), twice)',
  'papers_hash hash (title)',
  "papers_made brin (made, id) WITH (pages_per_range='16')",
  "papers_mixed btree (+lower(title) COLLATE \"C\" text_pattern_ops DESC, made DESC NULLS LAST) INCLUDE (pages, draft) WITH (fillfactor='80') WHERE ((pages > 3) OR (title = 'all'::text))",
  "papers_signed gist (+words tsvector_ops (siglen='64'))",
  'papers_span gist (+span, spot) INCLUDE (id)',
  'papers_spot spgist (spot kd_point_ops)',
  'papers_tags gin (+tags, extra jsonb_path_ops) WHERE (NOT draft)',
  'papers_words gin (+words) WITH (fastupdate=off)',
]

let database: LayoutDatabase

beforeAll(async () => {
  database = await LayoutDatabase.open()
})
afterAll(async () => {
  await database.close()
})

async function inhabited(kind: Wall['kind'], ...migrations: string[]) {
  const ids = [randomUUID(), randomUUID()]
  const places: TestPlace[] = []
  for (const id of kind === 'rls' ? ids.slice(0, 1) : ids)
    places.push(await database.place(kind === 'rls' ? { kind } : { kind, tenantId: id }, ...migrations))
  const tenants = await Promise.all(
    ids.map((id, at) => database.tenant(places[at] ?? (places[0] as TestPlace), id)),
  )
  return { places, tenants }
}

/** As in EXPECTED: `+` stands for a leading tenant_id, which GIN and GiST have in shared tables only, `@…@` for one that
 * leads, or closes in a silo. */
async function indexesOf(place: TestPlace, kind: Wall['kind']): Promise<string[]> {
  const lines = await shapeLines(database.admin, place, 'index')
  const led = kind !== 'database'
  return lines
    .map((line) => {
      const text = line
        .replace(/^CREATE (UNIQUE )?INDEX (\w+) ON \w+ USING /, '$1$2 ')
        .replace(/ [tf]$/, '')
        .replace(/\s+/g, ' ')
      return led ? text.replace('(tenant_id, ', text.startsWith('UNIQUE') ? '(@' : '(+') : text
    })
    .sort()
}

function expected(kind: Wall['kind']): string[] {
  return EXPECTED.map((line) => (kind === 'schema' ? line.replace(/(gin|gist) \(\+/, '$1 (') : line))
    .map((line) =>
      kind === 'database'
        ? line.replace('@', '').replace('@', ', tenant_id').replace('(+', '(')
        : line.replace(/@(.*)@/, '@$1'),
    )
    .sort()
}

describe.each(['rls', 'schema', 'database'] as const)('indexes under %s', (kind) => {
  test('of every kind are led by tenant_id where that helps, and otherwise as written', async () => {
    const { places } = await inhabited(kind, TABLE + INDEXES.join('\n'))
    for (const place of places) {
      expect(await indexesOf(place, kind)).toEqual(expected(kind))
      expect(await findLayoutFaults(database.admin, place)).toEqual([])
    }
  })

  test('come to the same shape in a later migration, with the same rows of two tenants in place', async () => {
    const { places, tenants } = await inhabited(kind, TABLE)
    for (const tenant of tenants)
      await tenant(
        `insert into papers (id, title, pages, draft) values (1, 'One', 5, false), (2, 'Two', 6, true)`,
      )
    const [first] = places
    for (const place of places) for (const sql of INDEXES) await database.migrate(place, sql)
    if (first === undefined) throw new Error('no place')
    expect(await indexesOf(first, kind)).toEqual(expected(kind))
    const atOnce = await database.place(first.wall, TABLE + INDEXES.join('\n'))
    expect(await snapshotOfShape(database.admin, first)).toEqual(
      await snapshotOfShape(database.admin, atOnce),
    )
    for (const tenant of tenants) {
      const again = `insert into papers (id, title) values (3, 'ONE')`
      expect(await failureOf(tenant(again))).toMatchObject({ code: '23505', constraint: 'papers_title' })
      expect((await tenant('select id, twice, words::text from papers order by id')).rows).toEqual([
        { id: 1, twice: 10, words: "'one':1" },
        { id: 2, twice: 12, words: "'two':1" },
      ])
    }
  })

  test('may be dropped, renamed and changed in a later migration', async () => {
    const { places } = await inhabited(kind, TABLE + INDEXES.join('\n'))
    for (const place of places) {
      await database.migrate(
        place,
        `drop index papers_tags, papers_hash; alter index papers_words rename to words;
         alter table papers alter column made type timestamptz(3), drop column spot;
         alter table papers rename column pages to sheets; alter index papers_mixed set (fillfactor = 70);`,
      )
      const lines = await indexesOf(place, kind)
      const led = kind === 'database' ? '' : '+'
      const searched = kind === 'rls' ? '+' : ''
      expect(lines.filter((line) => /words|span|coalesce|hash|tags/.test(line))).toEqual([
        `papers_coalesce_twice_idx btree (${led}COALESCE(sheets, 0), twice)`,
        `papers_signed gist (${searched}words tsvector_ops (siglen='64'))`,
        `words gin (${searched}words) WITH (fastupdate=off)`,
      ])
    }
  })

  test('are used by the planner for what the policy leaves possible', async () => {
    const everywhere = [
      ["title = 'x7'", 'using hash (title)'],
      ["made > now() - interval '1 hour'", 'using brin (made)'],
      ['coalesce(pages, 0) = 3', '(coalesce(pages, 0), twice)'],
      ['draft and pages = 7', '(pages) where draft'],
      ['lower(body collate "C") = \'x7\'', '(lower(body collate "C"))'],
    ] as const
    const behindNoPolicy = [
      ["lower(title) = 'x7'", '(lower(title))'],
      ["words @@ 'x7'", 'using gin (words)'],
      ["tags && '{x7}' and not draft", 'using gin (tags) where not draft'],
      ["span && '[7,8)'", 'using gist (span)'],
      ["spot <@ '((0,0),(1,1))'::box", 'using spgist (spot)'],
    ] as const
    const leaky = kind === 'database' ? behindNoPolicy : []
    const cases = [
      ...everywhere.filter(([where]) => kind === 'database' || !where.includes('lower')),
      ...leaky,
    ].map(([where, index], at) => ({ where, table: `papers${at}`, index: `wanted${at}`, definition: index }))
    const { places, tenants } = await inhabited(
      kind,
      cases
        .map(
          ({ table, index, definition }) =>
            `${TABLE.replace('papers', table)} create index ${index} on ${table} ${definition};`,
        )
        .join('\n'),
    )
    for (const tenant of tenants) {
      for (const { table } of cases) {
        await tenant(
          `insert into ${table} (id, title, body, pages, draft, tags, span, spot, made)
           select n, 'x' || n, 'x' || n, n, n % 9 = 0, array['x' || n], int4range(n, n + 1), point(n, n), now() - make_interval(hours => n)
             from generate_series(1, 3000) n`,
        )
      }
    }
    for (const place of places) {
      for (const { table, index, where } of cases) {
        await database.admin.query(`analyze ${place.schema}.${table}`)
        const plan = await planOf(place, `select * from ${table} where ${where}`)
        expect({ where, plan }).toEqual({ where, plan: expect.stringMatching(new RegExp(`${index}\\b`)) })
      }
    }
  })
})

/** Without reading a row: the context of the policy is not asked for. */
async function planOf({ schema, wall }: TestPlace, query: string): Promise<string> {
  const role = wall.kind === 'database' ? 'quickscale_migrator' : 'quickscale_runtime'
  await database.admin.query(
    `begin; set local enable_seqscan = off; set local jit = off; set local search_path to ${schema}; set local role ${role}`,
  )
  const { rows } = await database.admin.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${query}`)
  await database.admin.query('rollback')
  return rows.map((row) => row['QUERY PLAN']).join('\n')
}
