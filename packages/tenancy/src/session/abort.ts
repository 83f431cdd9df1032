/**
 * Rejects with the signal's reason as soon as it is aborted, whatever becomes of the work.
 *
 * @param stop called at the abort, so that the work cannot go on unseen
 */
export async function untilAborted<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
  stop: () => void,
): Promise<T> {
  if (signal === undefined) return await work()
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const listener = () => {
    stop()
    reject(signal.reason)
  }
  signal.addEventListener('abort', listener, { once: true })
  try {
    return await Promise.race([work(), aborted])
  } finally {
    signal.removeEventListener('abort', listener)
  }
}
