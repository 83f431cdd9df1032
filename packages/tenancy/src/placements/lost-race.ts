import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { limits } from '../limits.ts'

/**
 * A process that was killed has given up its lock, but its last statement may still run in the server: what it makes
 * appears under our hands, and the next attempt finds it made.
 */
export async function repeatAfterLostRace(build: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await build()
    } catch (error) {
      const lost = error instanceof pg.DatabaseError && lostRaces.has(error.code ?? '')
      if (!lost || attempt >= limits.attemptsMax) throw error
      await sleep(limits.retryPauseMsMax)
    }
  }
}

/**
 * Database, role, schema exist already; unique violation in a system catalog; 'tuple concurrently updated'; a group role
 * that somebody else has just taken away, because nobody seemed to use it.
 */
const lostRaces = new Set(['42P04', '42710', '42P06', '23505', 'XX000', '42704'])
