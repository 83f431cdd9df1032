import type { Services } from './module.ts'

/**
 * Runs work now and then until the server ends, one run at a time.
 *
 * @returns runs it soon; when it is running, once more
 */
export function createRounds(
  { inBackground, closing }: Pick<Services, 'inBackground' | 'closing'>,
  intervalMs: number,
  work: () => Promise<void>,
): () => void {
  let running = false
  let again = false
  const run = async () => {
    try {
      while (again && !closing.aborted) {
        again = false
        await work()
      }
    } finally {
      running = false
    }
  }
  const request = () => {
    again = true
    if (running || closing.aborted) return
    running = true
    inBackground(run)
  }
  const timer = setInterval(request, intervalMs).unref()
  closing.addEventListener('abort', () => clearInterval(timer), { once: true })
  request()
  return request
}
