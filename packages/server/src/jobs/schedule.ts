import { limits } from '../limits.ts'
import type { Schedule } from './job.ts'

const MINUTE_MS = 60_000

/**
 * When a job last was due: however many of its moments have passed, one counts. Looks back as far as
 * `limits.cronCatchUpMs`.
 */
function lastOccurrence({ matches }: Schedule, now: Date): Date | null {
  const last = Math.floor(now.getTime() / MINUTE_MS) * MINUTE_MS
  for (let time = last; time > last - limits.cronCatchUpMs; time -= MINUTE_MS) {
    const moment = new Date(time)
    if (matches(moment)) return moment
  }
  return null
}

/** The same for several jobs, reckoned once a minute. */
export function createOccurrences(
  jobs: readonly { readonly name: string; readonly cron: Schedule | null }[],
): (now: Date) => readonly { readonly name: string; readonly at: Date }[] {
  const scheduled = jobs.flatMap(({ name, cron }) => (cron === null ? [] : [{ name, cron }]))
  let minute = Number.NaN
  let found: readonly { name: string; at: Date }[] = []
  return (now) => {
    const current = Math.floor(now.getTime() / MINUTE_MS)
    if (current !== minute) {
      minute = current
      found = scheduled.flatMap(({ name, cron }) => {
        const at = lastOccurrence(cron, now)
        return at === null ? [] : [{ name, at }]
      })
    }
    return found
  }
}
