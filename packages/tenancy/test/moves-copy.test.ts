import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { copyRows } from '../src/moves/copy/copy.ts'
import { type CopyFormat, framed, piecesOf } from '../src/moves/copy/pieces.ts'
import { openThrottle } from '../src/moves/throttle.ts'

const formats: readonly CopyFormat[] = ['binary', 'text']

/** Short and long values, none, and such that look like the marks of either format. */
const rows = `select nullif(n % 7, 0)::bigint as number, repeat('x' || chr(10) || E'\\\\.' || chr(9), n % 90) as text,
    case when n % 5 = 0 then '\\xffff0a0000000000'::bytea end as bytes
  from generate_series(1, 400) as n`

describe.each(formats)('rows that are copied as %s', (format) => {
  let client: pg.Client
  let sent: Buffer

  beforeAll(async () => {
    client = new pg.Client({ connectionString: inject('databaseUrl') })
    await client.connect()
    await client.query('create temporary table copied (number bigint, text text, bytes bytea)')
    const chunks: Buffer[] = []
    for await (const chunk of client.query(copyTo(`copy (${rows}) to stdout (format ${format})`))) {
      chunks.push(chunk)
    }
    sent = Buffer.concat(chunks)
  })
  afterAll(() => client.end())

  test('arrive once each, wherever the network cuts them and however large a piece is', async () => {
    const cuts = fc.array(fc.nat(sent.length), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(cuts, fc.integer({ min: 400, max: sent.length }), async (at, bytes) => {
        const edges = [0, ...at.sort((a, b) => a - b), sent.length]
        const chunks = edges.slice(1).map((edge, index) => sent.subarray(edges[index], edge))
        await client.query('truncate copied')
        let largest = 0
        for await (const piece of piecesOf(Readable.from(chunks), format, bytes)) {
          const writing = client.query(copyFrom(`copy copied from stdin (format ${format})`))
          await pipeline(Readable.from(framed(piece, format)), writing)
          largest = Math.max(largest, writing.rowCount)
        }
        const { rows: differing } = await client.query(
          `(select * from copied except all ${rows}) union all (${rows} except all select * from copied)`,
        )
        expect(differing).toEqual([])
        expect(largest).toBeGreaterThan(0)
      }),
      { numRuns: 30 },
    )
  })

  test('are cut into pieces no larger than asked for, however much comes at once', async () => {
    for (const cut of [100, sent.length]) {
      const chunks = Array.from({ length: Math.ceil(sent.length / cut) }, (_, n) =>
        sent.subarray(n * cut, (n + 1) * cut),
      )
      let pieces = 0
      for await (const piece of piecesOf(Readable.from(chunks), format, 1_000)) {
        pieces += 1
        // The longest row, the piece that was asked for, and a quarter of one.
        expect(piece.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(600 + 1_000 + 250)
      }
      expect(pieces).toBeGreaterThan(sent.length / 3_000)
    }
  })
})

test('a copy whose reader is gone fails, and its process goes on', async () => {
  const [reader, writer] = ['reader', 'writer'].map(
    () => new pg.Client({ connectionString: inject('databaseUrl') }),
  ) as [pg.Client, pg.Client]
  await Promise.all([reader.connect(), writer.connect()])
  try {
    const gone = new Promise((resolve) => reader.on('error', resolve))
    const { rows: own } = await reader.query('select pg_backend_pid() as pid')
    await writer.query('create temporary table copied (number bigint)')
    await writer.query('select pg_terminate_backend($1, 5000)', [own[0].pid])
    await gone
    const column = { name: 'number', type: 'bigint', portable: true, always: false }
    const end = { place: { schemaName: 'pg_temp' } }
    const copying = copyRows({
      source: end,
      target: end,
      tables: [{ name: 'copied', columns: [column], key: [], sequences: [] }],
      tenantId: '00000000-0000-4000-8000-000000000000',
      reader,
      writer,
      share: 1,
      throttle: await openThrottle(1, [writer]),
      signal: new AbortController().signal,
      onProgress: () => undefined,
    })
    await expect(copying).rejects.toThrow('not queryable')
    expect((await writer.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  } finally {
    await writer.end()
  }
})
