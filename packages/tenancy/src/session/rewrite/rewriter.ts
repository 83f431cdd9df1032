import { LRUCache } from 'lru-cache'
import { limits } from '../../limits.ts'
import type { RewritingNeeds } from '../classify.ts'
import { askParser } from '../parser-thread.ts'
import { findTable, type PlaceShape } from './place-shape.ts'
import type { KnownShape } from './place-shapes.ts'
import { type Rewriting, unchanged } from './rewrite.ts'

const kept = new LRUCache<string, Rewriting>({
  max: limits.classificationsCached,
  maxSize: limits.classificationsCachedCharacters,
  maxEntrySize: limits.classifiedTextCachedCharacters,
  sizeCalculation: ({ text }, key) => text.length + key.length + 1,
})

/** How a text is sent to places of this shape: at once where it is known, else when the parser has rewritten it. */
export function rewrite(
  text: string,
  needs: RewritingNeeds,
  { digest, shape }: KnownShape,
  schemaName: string,
): Rewriting | Promise<Rewriting> {
  const key = `${digest} ${needs.qualified ? schemaName : ''}\0${text}`
  return kept.get(key) ?? rewriteAnew(key, text, { schemaName, shape: part(shape, needs) })
}

async function rewriteAnew(
  key: string,
  text: string,
  place: { schemaName: string; shape: PlaceShape },
): Promise<Rewriting> {
  const concerned = Object.keys(place.shape.tables).length > 0
  const answer = concerned ? await askParser({ kind: 'rewrite', text, place }) : null
  const rewriting = answer?.rewriting ?? unchanged(text)
  kept.set(key, rewriting)
  return rewriting
}

/** What crosses over to the parser's thread: the tables that the text may mean. */
function part({ tables: all, aggregates }: PlaceShape, { relations }: RewritingNeeds): PlaceShape {
  const tables = relations.flatMap((name) => {
    const table = findTable({ tables: all, aggregates }, name)
    return table === undefined ? [] : [[name, table] as const]
  })
  return { tables: Object.fromEntries(tables), aggregates }
}
