import type pg from 'pg'
import { quoteLiteral } from '../identifiers.ts'
import { inTransaction } from '../in-transaction.ts'
import { limits } from '../limits.ts'
import type { MovedTable } from './tables.ts'

/** The ids that the sequences of a place gave out last, by table and column: of a new one, the one before its first. */
export async function readSequences(
  client: pg.ClientBase,
  tables: readonly MovedTable[],
): Promise<Map<string, bigint>> {
  const named = tables.flatMap(({ name, sequences }) =>
    sequences.map(({ column, sequence, ascending }) => ({ key: `${name}.${column}`, sequence, ascending })),
  )
  if (named.length === 0) return new Map()
  const { rows } = await client.query<{ key: string; last: string }>(
    named
      .map(
        ({ key, sequence, ascending }) =>
          `select ${quoteLiteral(key)} as key,
                  (last_value::numeric ${ascending ? '-' : '+'} (not is_called)::integer)::text as last
             from ${sequence}`,
      )
      .join(' union all '),
  )
  return new Map(rows.map(({ key, last }) => [key, BigInt(last)]))
}

/** Sequences of the target that would give out ids which the tenant has already. */
export function sequencesBehind(
  tables: readonly MovedTable[],
  source: ReadonlyMap<string, bigint>,
  target: ReadonlyMap<string, bigint>,
): string[] {
  return tables.flatMap(({ name, sequences }) =>
    sequences.flatMap(({ column, ascending }) => {
      const [here, there] = [source.get(`${name}.${column}`), target.get(`${name}.${column}`)]
      if (here === undefined || there === undefined) return []
      return (ascending ? there >= here : there <= here) ? [] : [`${name}.${column}`]
    }),
  )
}

/**
 * Pushes the target's sequences past those of the source, with some ids to spare: sequences are not in the log. Others may
 * use a shared one at the same time, so it is changed under its lock.
 */
export async function pushSequences(
  target: pg.ClientBase,
  tables: readonly MovedTable[],
  source: ReadonlyMap<string, bigint>,
): Promise<void> {
  const known = await readSequences(target, tables)
  for (const { name, sequences } of tables) {
    for (const { column, sequence, ascending } of sequences) {
      const [last, there] = [source.get(`${name}.${column}`), known.get(`${name}.${column}`)]
      if (last === undefined || there === undefined) continue
      // Early enough that the ids of a few moments do not use them up.
      const spare = ascending ? there - last : last - there
      if (spare >= BigInt(limits.sequenceHeadroom / 2)) continue
      const wanted = last + BigInt(ascending ? limits.sequenceHeadroom : -limits.sequenceHeadroom)
      await pushSequence(target, sequence, ascending, wanted)
    }
  }
}

async function pushSequence(
  client: pg.ClientBase,
  sequence: string,
  ascending: boolean,
  wanted: bigint,
): Promise<void> {
  await inTransaction(client, async () => {
    const { rows: known } = await client.query<{ cache: string }>(
      'select seqcache::text as cache from pg_sequence where seqrelid = $1::regclass',
      [sequence],
    )
    // Takes the lock that nextval() waits for, and changes nothing.
    await client.query(`alter sequence ${sequence} cache ${BigInt(known[0]?.cache ?? '1')}`)
    const { rows } = await client.query<{ value: string }>(
      `select ${ascending ? 'least(seqmax' : 'greatest(seqmin'}, ${ascending ? 'greatest' : 'least'}(last_value, $1::bigint))::text as value
         from ${sequence}, pg_sequence where seqrelid = ${quoteLiteral(sequence)}::regclass`,
      [wanted.toString()],
    )
    await client.query('select setval($1::regclass, $2::bigint)', [sequence, rows[0]?.value])
  })
}
