import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { type Catalog, isShared, quoted, tablesOf } from './catalog.ts'
import type { Mapping } from './mapping.ts'
import type { Original } from './original.ts'
import type { TenantPlace } from './places.ts'
import { connected } from './stage.ts'

/** Text that does not depend on the session. */
export const canonical = [
  'extra_float_digits = 1',
  "datestyle = 'ISO, YMD'",
  "timezone = 'UTC'",
  "intervalstyle = 'postgres'",
  "bytea_output = 'hex'",
  "lc_monetary = 'C'",
]

/**
 * Copies the rows of the original to one tenant, as text, table by table. Triggers and keys stay out of it: the rows
 * have passed them already, and what they would add is there. Positions of sequences follow.
 */
export async function copyRows(
  original: Original,
  place: TenantPlace,
  { catalog, mapping }: { catalog: Catalog; mapping: Mapping },
  onTable: () => void,
): Promise<void> {
  await connected(original.url, async (source) => {
    await pin(source)
    // Otherwise a big table may be read from its middle, and views that show rows in their order differ.
    await source.query('set synchronize_seqscans = off')
    await connected(place.url, async (target) => {
      await pin(target)
      await target.query('set session_replication_role = replica')
      for (const table of tablesOf(original.catalog)) {
        const copy = mapping.findRelation(table)
        onTable()
        if (!copy) continue
        const writable = new Set(
          copy.columns.filter(({ generated }) => generated === '').map(({ name }) => name),
        )
        const columns = table.columns.map(({ name }) => name).filter((name) => writable.has(name))
        const list = columns.map((name) => `${pg.escapeIdentifier(name)}, `).join('')
        const rows = `${table.kind === 'r' ? 'only ' : ''}${quoted(table.schema, table.name)}`
        const into = quoted(place.schema, copy.name)
        if (isShared(copy)) {
          // The other tenant of the place may have brought them.
          const { rowCount } = await target.query(`select from ${into} limit 1`)
          if (rowCount !== 0 || columns.length === 0) continue
          const own = columns.map(pg.escapeIdentifier).join(', ')
          await pipeline(
            source.query(copyTo(`copy (select ${own} from ${rows}) to stdout`)),
            target.query(copyFrom(`copy ${into} (${own}) from stdin`)),
          )
          continue
        }
        await pipeline(
          source.query(
            copyTo(`copy (select ${list}${pg.escapeLiteral(place.tenantId)} from ${rows}) to stdout`),
          ),
          target.query(copyFrom(`copy ${into} (${list}tenant_id) from stdin`)),
        )
      }
      await setPositions(target, original, place, { catalog, mapping })
    })
  })
}

async function pin(client: pg.Client): Promise<void> {
  await client.query(canonical.map((setting) => `set ${setting}`).join('; '))
}

async function setPositions(
  target: pg.Client,
  original: Original,
  place: TenantPlace,
  { catalog, mapping }: { catalog: Catalog; mapping: Mapping },
): Promise<void> {
  await target.query(`set search_path to ${pg.escapeIdentifier(place.schema)}`)
  for (const sequence of original.catalog.sequences) {
    const table = mapping.relation(sequence.schema, sequence.table)
    const own = catalog.sequences.find((item) => item.table === table && item.column === sequence.column)
    const [last = '1', called = 'f'] = sequence.position.split(' ')
    if (own) await target.query('select setval($1::regclass, $2, $3)', [own.sequence, last, called === 't'])
  }
}
