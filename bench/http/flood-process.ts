/** Asks for one tenant's contacts as fast as it is answered, over and over, whatever the answer is; between 'on' and 'off'. */
import { Pool } from 'undici'

/** Whom to ask. */
export interface FloodOrder {
  readonly port: number
  readonly slug: string
  readonly headers: Readonly<Record<string, string>>
  readonly connections: number
}

/** How it was answered since it was last switched on. */
export interface FloodReport {
  readonly answered: number
  readonly refused: number
}

process.once('message', (order: FloodOrder) => {
  const pool = new Pool(`http://127.0.0.1:${order.port}`, { connections: order.connections, pipelining: 1 })
  let flooding = false
  let [answered, refused] = [0, 0]
  const keepAsking = async () => {
    while (flooding) {
      const request = { path: `/t/${order.slug}/contacts`, method: 'GET' as const, headers: order.headers }
      const { statusCode, body } = await pool.request(request)
      await body.dump()
      if (statusCode === 429) refused += 1
      else answered += 1
    }
  }
  process.on('message', (command: 'on' | 'off') => {
    flooding = command === 'on'
    if (flooding) {
      ;[answered, refused] = [0, 0]
      for (let client = 0; client < order.connections; client += 1) void keepAsking()
    }
    const report: FloodReport = { answered, refused }
    process.send?.(report)
  })
  process.send?.('ready')
})
// Its parent is gone.
process.once('disconnect', () => process.exit())
