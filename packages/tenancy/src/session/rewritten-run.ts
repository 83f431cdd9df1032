import pg from 'pg'
import type { RewritingNeeds } from './classify.ts'
import type { ScopedClient } from './pg-internals.ts'
import { forgetShape, type KnownShape, knownShape, readShape } from './rewrite/place-shapes.ts'
import type { Rewriting } from './rewrite/rewrite.ts'
import { rewrite } from './rewrite/rewriter.ts'
import type { Scope, Statement } from './scope.ts'
import type { ScopedPool } from './scoped-pool.ts'

/** Where a statement runs. */
interface RunPlace {
  readonly route: { readonly pool: ScopedPool }
  readonly client: ScopedClient
  readonly scope: Scope
}

/** What the server says to a statement that was rewritten for tables as they were before a migration, or was not. */
const shapeErrors = new Set(['42P10', '42803', '42703', '42P01'])

/** The text as it is sent to the tenant's place. */
export async function rewriteFor(place: RunPlace, needs: RewritingNeeds, text: string): Promise<Rewriting> {
  return await rewrite(text, needs, await shapeOf(place), place.scope.schemaName)
}

/** Runs a statement that composite keys may concern; `send` takes it to the server. */
export async function runRewritten(
  place: RunPlace,
  needs: RewritingNeeds,
  statement: Statement,
  send: (rewritten: Statement) => Promise<pg.QueryResult>,
): Promise<pg.QueryResult> {
  const { route, client, scope } = place
  for (let repeated = false; ; repeated = true) {
    const shape = await shapeOf(place)
    const rewriting = await rewrite(statement.text, needs, shape, scope.schemaName)
    const sent = { ...statement, text: rewriting.text }
    try {
      return await send(sent)
    } catch (error) {
      if (isShapeError(error)) forgetShape(route.pool, scope.schemaName)
      // Of a transaction nothing can be repeated here.
      const outdated = isShapeError(error) && !repeated && client.state.status === 'I'
      if (!outdated || (await shapeOf(place)).digest === shape.digest) {
        throw restorePosition(error, statement.text, rewriting)
      }
    }
  }
}

async function shapeOf({ route, client, scope }: RunPlace): Promise<KnownShape> {
  return knownShape(route.pool, scope.schemaName) ?? (await readShape(route.pool, client, scope))
}

function isShapeError(error: unknown): boolean {
  return error instanceof pg.DatabaseError && shapeErrors.has(error.code ?? '')
}

/** The server counts in characters of the text it got; the caller has another one. */
function restorePosition(error: unknown, text: string, rewriting: Rewriting): unknown {
  if (!(error instanceof pg.DatabaseError) || error.position === undefined) return error
  let at = [...rewriting.text].slice(0, Number(error.position) - 1).join('').length
  for (const change of rewriting.changes) {
    if (at > change.at) at = Math.max(change.at, at - change.inserted.length)
  }
  error.position = String([...text.slice(0, at)].length + 1)
  return error
}
