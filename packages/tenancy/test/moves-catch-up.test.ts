import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DriveOptions, MoveProgress, Strategy } from '../src/index.ts'
import { limits } from '../src/limits.ts'
import { Pace, restAfter } from '../src/moves/stream/pace.ts'
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

test('how far behind a tenant is, and how long it will take, is told by the commits that were applied', async () => {
  const pace = new Pace(1)
  expect(pace.behind(100_000, 100_000)).toBeNull()
  await pace.rest(performance.now() - 1_000, 40_000)
  await pace.rest(performance.now(), 50_000)
  const behind = pace.behind(95_000, 90_000)
  expect(behind?.lagMs).toBe(45_000)
  // Ten seconds of commits took one.
  expect(behind?.msLeft).toBeGreaterThanOrEqual(4_000)
  expect(pace.behind(51_000, 49_000)).toEqual({ lagMs: 1_000, msLeft: 0 })
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
  const moveWhileWriting = ({ signal, onProgress }: Pick<DriveOptions, 'signal' | 'onProgress'> = {}) => {
    const { moves, tenant } = installation.tenancy
    const [copying, streaming] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const told: Parameters<Required<DriveOptions>['onProgress']>[0][] = []
    const moving = moves.start('one', {
      to,
      ...(signal !== undefined && { signal }),
      onProgress: (move) => {
        told.push(move)
        if (move.progress.rowsCopied !== undefined) copying.resolve()
        if (move.state === 'streaming') streaming.resolve()
        onProgress?.(move)
      },
    })
    const write = async () => {
      // One that is refused copies nothing.
      await Promise.race([copying.promise, moving])
      for (let count = 0; count < 40; count += 1) {
        await tenant('one').query(
          'insert into note (id, body) select 10000 + 10 * $1 + n, $2 from generate_series(1, 10) as n',
          [count, `written during the copy: ${count}`],
        )
      }
      await tenant('one').query("update note set body = body || ' changed' where id <= 1000")
    }
    return { moving, writing: write(), streaming: streaming.promise, told }
  }

  test('is caught up with in small pieces, and has every row in the end', async () => {
    const { moving, writing, told } = moveWhileWriting()
    await writing
    expect(await moving).toMatchObject({ state: 'active', progress: { audited: { differences: [] } } })
    const streaming = told.flatMap(({ state, progress }) => (state === 'streaming' ? [progress] : []))
    expect(streaming.at(-1)?.changesApplied).toBeGreaterThanOrEqual(1_400)
    expect(streaming.at(-1)).toMatchObject({ lagMs: expect.any(Number), catchUpMsLeft: 0 })
    // The tenant lives there; that all rows are compared once more takes a while.
    expect(told.find(({ state }) => state === 'switched')?.progress).not.toHaveProperty('audited')
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
    const { moving, writing, streaming } = moveWhileWriting({ signal: stopped.signal })
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

  test('goes on when a callback has failed while it was caught up with', async () => {
    const { tenant } = installation.tenancy
    await tenant('one').query('delete from note where id > 10000')
    let failures = 0
    const failOnce = ({ state, progress }: { state: string; progress: MoveProgress }) => {
      if (state !== 'streaming' || progress.changesApplied === undefined || failures > 0) return
      failures += 1
      throw new Error('told in vain')
    }
    const { moving, writing } = moveWhileWriting({ onProgress: failOnce })
    await writing
    expect(await moving).toMatchObject({ state: 'active', progress: { audited: { differences: [] } } })
    expect(failures).toBe(1)
    expect((await installation.tenancy.moves.rollback('one')).state).toBe('returned')
  })

  test('is left where it is at whatever moment that is asked for, though its target does not answer', async () => {
    const { moves, tenant } = installation.tenancy
    await expect(
      moves.start('one', {
        to,
        signal: stopAt('streaming', (stop) => stop()),
        onProgress: (move) => stopping?.(move.state),
      }),
    ).rejects.toThrow('that is enough')
    const { target } = await moves.get('one')
    await tenant('one').query("update note set body = 'behind a lock' where id = 1")
    const blocker = await installation.connectTo(target.database)
    try {
      await blocker.query('begin')
      await blocker.query(`select from ${target.schema}.note where id = 1 for update`)
      const signal = stopAt('streaming', (stop) => setImmediate(stop))
      const late: string[] = []
      const report = await moves.resume({
        signal,
        onProgress: ({ state }) => {
          if (signal.aborted) late.push(state)
          stopping?.(state)
        },
      })
      expect(report.failed).toMatchObject([{ error: { message: 'that is enough' } }])
      expect(late).toEqual([])
    } finally {
      await blocker.end()
    }
    // Who has had enough before its turn comes leaves it to whoever works on it.
    const { stoppedAt } = await moves.get('one')
    const late = await moves.resume({ signal: AbortSignal.abort(new Error('too late')) })
    expect(late.failed).toMatchObject([{ error: { message: 'too late' } }])
    expect((await moves.get('one')).stoppedAt).toEqual(stoppedAt)
    expect((await moves.cancel('one')).state).toBe('cancelled')
  })

  let stopping: ((state: string) => void) | undefined
  const stopAt = (at: string, when: (stop: () => void) => void): AbortSignal => {
    const stopped = new AbortController()
    stopping = (state) => {
      if (state !== at) return
      stopping = undefined
      when(() => stopped.abort(new Error('that is enough')))
    }
    return stopped.signal
  }
})
