import type pg from 'pg'

/** Runs an administrator's work in one transaction: all of it is there afterwards, or nothing. */
export async function inTransaction<T>(client: pg.ClientBase, work: () => Promise<T>): Promise<T> {
  await client.query('begin')
  try {
    const result = await work()
    await client.query('commit')
    return result
  } catch (error) {
    // On a dead connection there is nothing to roll back, and the first error is the one that matters.
    const failure: unknown = await client.query('rollback').then(() => undefined, asValue)
    if (failure !== undefined && error instanceof Error) error.cause ??= failure
    throw error
  }
}

function asValue(error: unknown): unknown {
  return error
}
