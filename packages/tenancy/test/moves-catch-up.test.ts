import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Strategy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { restAfter } from '../src/moves/stream/pace.ts'
import { TestInstallation } from './support/installation.ts'

describe('a rest while a tenant is caught up with', () => {
  const ms = fc.double({ min: 0, max: 1e9, noNaN: true })
  const share = fc.double({ min: limits.moveShareMin, max: 1, noNaN: true })

  test('is never longer than its bound, and there is none for a move that has all of the time', () => {
    fc.assert(
      fc.property(share, ms, ms, ms, (part, workedMs, elapsedMs, spanMs) => {
        const restMs = restAfter(part, { workedMs, elapsedMs, spanMs })
        expect(restMs).toBeGreaterThanOrEqual(0)
        expect(restMs).toBeLessThanOrEqual(limits.catchUpRestMs)
        expect(restAfter(1, { workedMs, elapsedMs, spanMs })).toBe(0)
      }),
    )
  })

  test('leaves a tenant caught up with, however fast it writes and however small the share', () => {
    // A piece takes so long, and a tenant writes it in so long; applying alone is four times as fast as writing.
    const piece = fc.record({
      workedMs: fc.double({ min: 5, max: 500, noNaN: true }),
      factor: fc.integer({ min: 4, max: 1_000 }),
    })
    fc.assert(
      fc.property(
        share,
        piece,
        fc.integer({ min: 100, max: 100_000 }),
        (part, { workedMs, factor }, behindMs) => {
          const writtenMs = workedMs * factor
          let [elapsedMs, spanMs] = [0, 0]
          // What it writes meanwhile has to be applied too.
          while (spanMs < behindMs + elapsedMs) {
            spanMs += writtenMs
            elapsedMs += workedMs
            elapsedMs += restAfter(part, { workedMs, elapsedMs, spanMs })
            expect(elapsedMs).toBeLessThan(limits.catchUpGraceMs + spanMs / limits.catchUpSpeed + 1)
          }
          expect(elapsedMs).toBeLessThan((behindMs + writtenMs) / 2 + 2 * limits.catchUpGraceMs)
        },
      ),
    )
  })
})

const strategies: readonly Strategy[] = ['rls', 'schema', 'database']

describe.each(strategies)('a tenant that is moved from %s and writes a lot during the copy', (from) => {
  const to = from === 'database' ? 'rls' : 'database'
  let installation: TestInstallation

  beforeAll(async () => {
    installation = await TestInstallation.open(from)
    await installation.tenancy
      .tenant('one')
      .query("insert into note (id, body) select n, 'note ' || n from generate_series(1, 3000) as n")
  })
  afterAll(() => installation?.close())

  /** Begins a move, and writes when the copy has: 40 transactions, and one that is larger than any piece. */
  const moveWhileWriting = (signal?: AbortSignal) => {
    const { moves, tenant } = installation.tenancy
    const [copying, streaming] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let applied = 0
    const moving = moves.start('one', {
      to,
      ...(signal !== undefined && { signal }),
      onProgress: ({ state, progress }) => {
        if (progress.rowsCopied !== undefined) copying.resolve()
        if (state === 'streaming') streaming.resolve()
        applied = progress.changesApplied ?? 0
      },
    })
    const write = async () => {
      await copying.promise
      for (let count = 0; count < 40; count += 1) {
        await tenant('one').query(
          'insert into note (id, body) select 10000 + 10 * $1 + n, $2 from generate_series(1, 10) as n',
          [count, `written during the copy: ${count}`],
        )
      }
      await tenant('one').query("update note set body = body || ' changed' where id <= 1000")
    }
    return { moving, writing: write(), streaming: streaming.promise, applied: () => applied }
  }

  test('is caught up with in small pieces, and has every row in the end', async () => {
    const { moving, writing, applied } = moveWhileWriting()
    await writing
    expect(await moving).toMatchObject({ state: 'active', progress: { audited: { differences: [] } } })
    expect(applied()).toBeGreaterThanOrEqual(1_400)
    const { rows } = await installation.tenancy.tenant('one').query(
      `select count(*) filter (where id > 10000)::integer as written,
              count(*) filter (where body like '% changed')::integer as changed, count(*)::integer as all from note`,
    )
    expect(rows).toEqual([{ written: 400, changed: 1_000, all: 3_400 }])
    expect((await installation.tenancy.moves.rollback('one')).state).toBe('returned')
  })

  // The strategy makes no difference to whoever waits for a server.
  if (from !== 'schema') return

  test('can be left where it is though its target does not answer', async () => {
    const { moves, tenant } = installation.tenancy
    await tenant('one').query('delete from note where id > 10000')
    const stopped = new AbortController()
    const { moving, writing, streaming } = moveWhileWriting(stopped.signal)
    const ended = moving.catch((error: Error) => error.message)
    await streaming
    const { target } = await moves.get('one')
    const blocker = await installation.connectTo(target.database)
    try {
      await blocker.query('begin')
      await blocker.query(`lock table ${target.schema}.note in access exclusive mode`)
      await writing
      const waiting = `select from pg_stat_activity
        where wait_event_type = 'Lock' and application_name ~ '^move .* apply$' and datname = current_database()`
      await expect
        .poll(async () => (await installation.inDatabase(target.database, waiting)).rowCount, {
          timeout: 20_000,
        })
        .toBe(1)
      stopped.abort(new Error('that is enough'))
      expect(await ended).toBe('that is enough')
    } finally {
      await blocker.end()
    }
    expect((await moves.cancel('one')).state).toBe('cancelled')
    const { rows } = await tenant('one').query('select count(*)::integer as count from note')
    expect(rows).toEqual([{ count: 3_400 }])
  })
})
