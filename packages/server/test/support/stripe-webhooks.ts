import { createHmac } from 'node:crypto'
import type { StripeEvent } from './stripe-state.ts'

export const WEBHOOK_SECRET = 'whsec_quickscale_test'

/** The header of a body, as Stripe makes it: HMAC-SHA256 of `<seconds>.<body>`. */
export function signatureOf(
  body: string,
  { secret = WEBHOOK_SECRET, seconds = Math.floor(Date.now() / 1000), scheme = 'v1' } = {},
): string {
  return `t=${seconds},${scheme}=${createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex')}`
}

/** Sends events to the application, over HTTP, in the given order. */
export async function deliver(endpoint: string, events: readonly StripeEvent[]): Promise<number[]> {
  const statuses: number[] = []
  for (const event of events) {
    // Stripe's own formatting: what is signed are these bytes.
    const body = JSON.stringify(event, null, 2)
    const headers = {
      'content-type': 'application/json; charset=utf-8',
      'stripe-signature': signatureOf(body),
    }
    const answer = await fetch(endpoint, { method: 'POST', headers, body })
    await answer.body?.cancel()
    statuses.push(answer.status)
  }
  return statuses
}

/** Another order, the same for the same seed. */
export function shuffle<T>(items: readonly T[], seed: number): T[] {
  const shuffled = [...items]
  let state = seed
  for (let index = shuffled.length - 1; index > 0; index -= 1) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    const other = state % (index + 1)
    const [a, b] = [shuffled[index], shuffled[other]]
    if (a !== undefined && b !== undefined) [shuffled[index], shuffled[other]] = [b, a]
  }
  return shuffled
}
