import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Destination } from '@quickscale/tenancy'

export type Order = 'start' | 'cancel' | 'rollback' | 'finish' | 'resume' | 'drain' | 'watch'

/** What a mover process is told when it begins. */
export interface MoverOrders {
  /** A TenancyConfig without functions. */
  readonly config: object
  /** The tenant; of a drain the server. */
  readonly key: string
  readonly destination: Destination
  /** Of its heap. @defaultValue Node's own */
  readonly megabytesMax?: number
}

/** How long a process may take to begin. */
const startMs = 60_000

/** A process that takes no orders: nothing that is asked of it will ever happen. */
export class MoverNotStarted extends Error {}

/** A mover in a process of its own. */
export class MoverProcess {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #ready = Promise.withResolvers<void>()
  /** What it has said. */
  readonly answers: string[] = []

  constructor(orders: MoverOrders) {
    this.#child = spawn(
      process.execPath,
      [
        '--conditions=quickscale-source',
        ...(orders.megabytesMax === undefined ? [] : [`--max-old-space-size=${orders.megabytesMax}`]),
        fileURLToPath(new URL('./mover.ts', import.meta.url)),
      ],
      {
        env: { ...process.env, CHAOS_MOVER: JSON.stringify(orders) },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    this.#exited = once(this.#child, 'exit')
    const fail = (why: string) =>
      this.#ready.reject(new MoverNotStarted(`the process of a mover cannot start: ${why}`))
    this.#exited.then(
      () =>
        fail(
          `it ended with ${this.#child.signalCode ?? `exit code ${this.#child.exitCode}`}; what it said is above`,
        ),
      (error: unknown) => fail(String(error)),
    )
    // Who does not wait for it is not told.
    this.#ready.promise.catch(() => undefined)
    // The order is lost when it has been killed.
    this.#child.stdin?.on('error', () => undefined)
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => {
        if (line === 'ready') this.#ready.resolve()
        else this.answers.push(line)
      })
    }
  }

  get alive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Whether it has given something up. */
  get failed(): boolean {
    return this.answers.some((answer) => answer.includes(' failed: '))
  }

  /** Until it takes orders. @throws MoverNotStarted when it has ended, or is killed because it takes too long */
  async untilReady(): Promise<void> {
    const timer = setTimeout(() => {
      this.#ready.reject(new MoverNotStarted(`the process of a mover has not started within ${startMs} ms`))
      this.#child.kill('SIGKILL')
    }, startMs)
    try {
      await this.#ready.promise
    } finally {
      clearTimeout(timer)
    }
  }

  order(order: Order): void {
    this.#child.stdin?.write(`${order}\n`)
  }

  /** Whether it has answered an order. */
  answerTo(order: Order): string | undefined {
    return this.answers.find((answer) => answer.startsWith(`${order} `))
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exited
  }

  /** Lets it end what it has begun. @throws Error when it does not end as a process does that has closed everything */
  async finish(): Promise<void> {
    this.#child.stdin?.end()
    await this.#exited
    if (this.#child.exitCode === 0 || this.#child.signalCode !== null) return
    throw new Error(`the process of a mover ended with exit code ${this.#child.exitCode}`)
  }
}
