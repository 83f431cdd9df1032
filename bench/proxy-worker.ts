/**
 * Forwards bytes between clients and the server, each chunk `delayMs` after its arrival. Timers of Node count whole
 * milliseconds, so the thread sleeps by Atomics.wait: in short naps, between which it looks for new arrivals, and the
 * last few microseconds awake, because a sleeper is woken late.
 */
import { connect, createServer, type Socket } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

export interface ProxyTarget {
  readonly host: string
  readonly port: number
  readonly delayMs: number
  /** Its one element counts round trips. */
  readonly counter: Int32Array<SharedArrayBuffer>
}

interface Delivery {
  readonly dueMs: number
  readonly act: () => void
}

const napMsMax = 0.1
const wakeUpMs = 0.06

const target = workerData as ProxyTarget
const bed = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
// One delay for all, so what arrives first is due first.
const deliveries: Delivery[] = []
let delivering = false

function deliverLater(act: () => void): void {
  deliveries.push({ dueMs: performance.now() + target.delayMs, act })
  if (!delivering) setImmediate(deliver)
  delivering = true
}

function deliver(): void {
  for (
    let next = deliveries[0];
    next !== undefined && next.dueMs <= performance.now();
    next = deliveries[0]
  ) {
    deliveries.shift()
    next.act()
  }
  const [next] = deliveries
  delivering = next !== undefined
  if (next === undefined) return
  const napMs = Math.min(next.dueMs - performance.now() - wakeUpMs, napMsMax)
  if (napMs > 0) Atomics.wait(bed, 0, 0, napMs)
  setImmediate(deliver)
}

function forward(from: Socket, to: Socket, on: { arrival?: () => void; delivery?: () => void }): void {
  from.setNoDelay(true)
  from.on('data', (chunk) => {
    on.arrival?.()
    deliverLater(() => {
      on.delivery?.()
      to.write(chunk)
    })
  })
  from.on('end', () => deliverLater(() => to.end()))
  from.on('error', () => to.destroy())
  from.on('close', () => deliverLater(() => to.destroy()))
}

const server = createServer((client) => {
  const upstream = connect(target.port, target.host)
  // Counted when answered: the message with which a client leaves is not.
  let asked = false
  forward(client, upstream, {
    arrival: () => {
      asked = true
    },
  })
  forward(upstream, client, {
    delivery: () => {
      if (asked) Atomics.add(target.counter, 0, 1)
      asked = false
    },
  })
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  parentPort?.postMessage(typeof address === 'object' ? address?.port : address)
})
