/** How long work may go on. */
export interface Bounds {
  /** Aborted when the process is about to end. */
  readonly stopping: AbortSignal
  readonly timeoutMs: number
}

/** What the worker itself has to say of a job. */
export class JobError extends Error {}

/** Waits for work no longer than it may go on; work that does not heed its signal goes on unheeded. */
export async function runWithin(
  { stopping, timeoutMs }: Bounds,
  work: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const controller = new AbortController()
  const { promise: ended, reject } = Promise.withResolvers<never>()
  const end = (reason: Error) => {
    controller.abort(reason)
    reject(reason)
  }
  const onStop = () => end(new JobError('The process is about to end'))
  const timer = setTimeout(() => end(new JobError(`It took longer than ${timeoutMs} ms`)), timeoutMs)
  stopping.addEventListener('abort', onStop)
  if (stopping.aborted) onStop()
  // Nobody waits for it when the work is done.
  ended.catch(() => undefined)
  try {
    await Promise.race([ended, work(controller.signal)])
  } finally {
    clearTimeout(timer)
    stopping.removeEventListener('abort', onStop)
  }
}
