import { setTimeout as sleep } from 'node:timers/promises'

/** Ends early, without complaint, when the signal comes; keeps nobody's process alive. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { ref: false, signal }).catch(() => undefined)
}
