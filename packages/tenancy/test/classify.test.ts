import fc from 'fast-check'
import { loadModule } from 'libpg-query'
import { beforeAll, describe, expect, test } from 'vitest'
import { classify } from '../src/session/classifier.ts'
import { classifyText } from '../src/session/classify.ts'

beforeAll(loadModule)

describe('classification', () => {
  test.each([
    ['select 1', 'statement'],
    ['with a as (insert into t values (1) returning *) select * from a', 'statement'],
    ['merge into t using s on t.id = s.id when matched then delete', 'statement'],
    ['values (1), (2)', 'statement'],
    ['declare c cursor for select 1', 'statement'],
    ['fetch 10 from c', 'statement'],
    ["set local statement_timeout = '1s'", 'statement'],
    ['show timezone', 'statement'],
    ['set constraints all deferred', 'statement'],
    ['begin', 'begin'],
    ['start transaction isolation level serializable read only', 'begin'],
    ['COMMIT', 'end'],
    ['rollback work', 'end'],
    ['end', 'end'],
    ['savepoint a', 'savepoint'],
    ['rollback to savepoint a', 'savepoint'],
    ['release a', 'savepoint'],
    ['copy (select 1) to stdout with (format csv)', 'copyOut'],
  ])('allows %s', (text, kind) => {
    expect(classifyText(text)).toMatchObject({ kind, refusal: null })
  })

  test.each([
    ['select * from t where day = $1', true],
    ["select 'a' || body from t where now() > at", true],
    ["insert into t values ('', null) returning *", true],
    ["select * from t where at > 'Today'", false],
    ["select timestamptz '2020-01-01' from t", false],
    ["insert into t values (array['x', 'now']::timestamptz[])", false],
    ["update t set at = E'y\\145sterday'", false],
    ["select interval '1 day'", false],
    ['declare c cursor for select 1', false],
    ['fetch 10 from c', false],
  ])('knows whether %s means the same at another time', (text, timeless) => {
    expect(classifyText(text)).toMatchObject({ timeless, refusal: null })
  })

  test.each([
    'select 1; select 2',
    '',
    '-- nothing',
    'do $$ begin end $$',
    'prepare a as select 1',
    'execute a',
    'deallocate all',
    'explain execute a',
    'explain select 1',
    'explain (analyze) select 1',
    'declare c cursor with hold for select 1',
    "set search_path = 'x'",
    'set session statement_timeout = 0',
    "set local search_path = 'x'",
    'set local role quickscale_silo',
    'set local session authorization default',
    "set local quickscale.context = 'x'",
    'set local standard_conforming_strings = off',
    'set role x',
    'set session authorization x',
    'set session characteristics as transaction isolation level serializable',
    'set transaction isolation level serializable',
    'reset all',
    'discard all',
    'listen a',
    'unlisten *',
    "notify a, 'b'",
    'lock table t',
    'commit and chain',
    'rollback and chain',
    "prepare transaction 'x'",
    "commit prepared 'x'",
    'call p()',
    'select 1 into t',
    'create table t as select 1',
    'create temp table t (a int)',
    'truncate t',
    'copy t to stdout',
    'copy t from stdin',
    "copy (select 1) to '/tmp/x'",
    "copy (select 1) to program 'cat'",
    'copy (delete from t returning a) to stdout',
    'copy (select 1 into t) to stdout',
    'drop table t',
    'vacuum',
    "load 'x'",
    'checkpoint',
    'refresh materialized view v',
    'grant select on t to public',
    'selec 1',
  ])('refuses %s', (text) => {
    expect(classifyText(text).refusal).toEqual(expect.any(String))
  })

  test('knows harmless functions and distrusts all others, wherever they stand', () => {
    expect(classifyText('select lower(name), count(*) from t group by 1').callsUnknownFunctions).toBe(false)
    expect(classifyText('select pg_catalog.now()').callsUnknownFunctions).toBe(false)
    for (const text of [
      'select pg_advisory_lock(1)',
      'select 1 where exists (select from (select own.f()) x)',
      "select * from t, lateral query_to_xml('select 1', true, true, '') x",
      'insert into t values (app.lower(1))',
      'update t set a = (with b as (select f()) select * from b)',
    ]) {
      expect(classifyText(text).callsUnknownFunctions, text).toBe(true)
    }
  })

  test('never allows what it cannot read, whatever the text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
        const { refusal, kind } = classifyText(text)
        expect(
          refusal === null
            ? ['statement', 'begin', 'end', 'savepoint', 'copyOut'].includes(kind)
            : refusal.length > 0,
        ).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

describe('the parser', () => {
  const deep = (index: number) => `select ${index}${'+1'.repeat(100_000)}`

  test('survives texts that are too much for it, and refuses only those', async () => {
    for (let index = 0; index < 20; index += 1) {
      const { refusal } = await classify(deep(index))
      expect(refusal, String(index)).toBe('it is nested too deeply')
    }
    expect(await classify('select 1 as still_there')).toMatchObject({ refusal: null })
  })

  test('answers those who were merely waiting when it broke', async () => {
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        classify(index % 10 === 5 ? deep(1_000 + index) : `select ${index} as a`),
      ),
    )
    expect(answers.map(({ refusal }) => refusal === null)).toEqual(
      answers.map((_, index) => index % 10 !== 5),
    )
  })
})
