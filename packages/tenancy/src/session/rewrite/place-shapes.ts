import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { LRUCache } from 'lru-cache'
import { limits } from '../../limits.ts'
import { allow } from '../classify.ts'
import type { ScopedClient } from '../pg-internals.ts'
import type { Scope } from '../scope.ts'
import type { PlaceShape } from './place-shape.ts'

const shapeQuery = readFileSync(new URL('../../../sql/session/place-shape.sql', import.meta.url), 'utf8')

/** A shape, told apart from others by its digest. */
export interface KnownShape {
  readonly digest: string
  readonly shape: PlaceShape
}

interface KeptShape {
  readonly known: KnownShape
  readonly readAtMs: number
}

/** Places that were made by the same migrations share one. */
const shapes = new LRUCache<string, KnownShape>({ max: limits.placeShapesCached })
/** By whatever reaches a database, then by schema. */
const places = new WeakMap<object, LRUCache<string, KeptShape>>()

/** The shape of a place, if it was read a short while ago. */
export function knownShape(database: object, schemaName: string): KnownShape | null {
  const kept = places.get(database)?.get(schemaName)
  return kept !== undefined && performance.now() - kept.readAtMs < limits.placeShapeLifetimeMs
    ? kept.known
    : null
}

/** Reads the shape of the tenant's place on its connection: one more round trip, once in a while. */
export async function readShape(database: object, client: ScopedClient, scope: Scope): Promise<KnownShape> {
  const { rows } = await client.run(
    scope,
    { ...allow(), fixedColumns: true },
    { name: 'place shape', text: shapeQuery, values: [scope.schemaName] },
  )
  const text = String(rows[0].shape)
  const digest = createHash('sha256').update(text).digest('base64')
  const known = shapes.get(digest) ?? { digest, shape: JSON.parse(text) as PlaceShape }
  shapes.set(digest, known)
  const kept = places.get(database) ?? new LRUCache<string, KeptShape>({ max: limits.placesCached })
  places.set(database, kept)
  kept.set(scope.schemaName, { known, readAtMs: performance.now() })
  return known
}

/** Makes the next use read the shape anew. */
export function forgetShape(database: object, schemaName: string): void {
  places.get(database)?.delete(schemaName)
}
