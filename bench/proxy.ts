import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ProxyTarget } from './proxy-worker.ts'

/** A slower way to the same server, which counts round trips. */
export interface DelayProxy {
  /** The URL with this proxy in place of its host and port. */
  through(url: string): string
  /** Round trips so far: how often the server answered what a client had sent. */
  trips(): number
  close(): Promise<void>
}

/** @param delayMs added in each direction */
export async function startProxy(url: string, delayMs: number): Promise<DelayProxy> {
  const { hostname, port } = new URL(url)
  const counter = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const workerData: ProxyTarget = { host: hostname, port: Number(port || '5432'), delayMs, counter }
  // A thread of its own, so that it takes no turn in the event loop of the clients.
  const worker = new Worker(new URL('./proxy-worker.ts', import.meta.url), { workerData })
  const [listening] = await once(worker, 'message')
  return {
    through(target) {
      const proxied = new URL(target)
      proxied.hostname = '127.0.0.1'
      proxied.port = String(listening)
      return proxied.href
    },
    trips: () => Atomics.load(counter, 0),
    close: async () => {
      await worker.terminate()
    },
  }
}
