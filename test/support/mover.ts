/**
 * A process that moves a tenant, to be killed. Its orders come line by line on standard input: `start`, `cancel`, `rollback`,
 * `finish`, `resume`, `drain`, `watch`; each is answered by one line on standard output, after a first one, `ready`. It ends with its input, when nothing is under way.
 */
import { createInterface } from 'node:readline'
import { createTenancy, type Move, type Tenancy, type TenancyConfig } from '@quickscale/tenancy'
import type { MoverOrders, Order } from './mover-process.ts'

const orders: MoverOrders & { config: TenancyConfig } = JSON.parse(process.env.CHAOS_MOVER ?? 'null')
const tenancy = await createTenancy(orders.config)

async function obey(order: Order): Promise<string> {
  const { key, destination } = orders
  if (order === 'resume') {
    const { failed } = await tenancy.moves.resume({ copyShare: 1 })
    if (failed[0] !== undefined) throw failed[0].error
    return 'resumed'
  }
  if (order === 'watch') {
    const onResumed = ({ state }: Move) => console.log(`watch resumed ${state}`)
    const onFailed = ({ error }: { error: unknown }) => console.error(error)
    tenancy.moves.watch({ copyShare: 1, onResumed, onFailed })
    return 'begun'
  }
  if (order === 'drain') return (await tenancy.servers.drain(key)).drained ? 'drained' : 'left'
  return (await actions(tenancy.moves)[order](key, { ...destination, copyShare: 1 })).state
}

function actions({ start, cancel, rollback, finish }: Tenancy['moves']) {
  return { start, cancel, rollback, finish }
}

const running = new Set<Promise<void>>()
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const order = line as Order
  const answer = obey(order)
    .then(
      (state) => console.log(`${order} ${state}`),
      (error: unknown) => console.log(`${order} failed: ${error instanceof Error ? error.message : error}`),
    )
    .finally(() => running.delete(answer))
  running.add(answer)
}
await Promise.all(running)
await tenancy.close()
