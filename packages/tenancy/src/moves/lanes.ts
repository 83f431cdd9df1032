/**
 * Works on one item after the other, on several at the same time. After a failure no further item is begun, and the failure is
 * thrown when the others have ended: nobody works on behind the caller's back.
 */
export async function inLanes<T>(
  items: Iterable<T> | AsyncIterable<T>,
  count: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = each(items)
  let failed = false
  const lane = async () => {
    for (;;) {
      const next = failed ? null : await iterator.next()
      if (next === null || next.done) return
      await work(next.value)
    }
  }
  const lanes = Array.from({ length: count }, () =>
    lane().catch((error: unknown) => {
      failed = true
      throw error
    }),
  )
  const outcomes = await Promise.allSettled(lanes)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

async function* each<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T> {
  yield* items
}
