/**
 * The parser off the main thread. It is PostgreSQL's own, compiled for a fixed stack: a text nested deeply enough breaks
 * it for good, so it runs where it can be replaced, and a long text delays nobody else.
 */
import { Worker } from 'node:worker_threads'
import { limits } from '../limits.ts'
import type { ParserAnswer, ParserRequest, ParserTask } from './parser-worker.ts'

interface Pending extends ParserRequest {
  readonly resolve: (answer: ParserAnswer | null) => void
  readonly reject: (error: Error) => void
  threads: number
}

const pending = new Map<number, Pending>()
let thread: Worker | null = null
let requests = 0

/** @returns null when the parser gave up on the text */
export function askParser(task: ParserTask): Promise<ParserAnswer | null> {
  return new Promise((resolve, reject) => {
    requests += 1
    const request: Pending = { id: requests, task, resolve, reject, threads: 0 }
    pending.set(request.id, request)
    send(request)
  })
}

function send(request: Pending): void {
  thread ??= startThread()
  request.threads += 1
  // Only an answer that is waited for keeps the process alive.
  thread.ref()
  thread.postMessage({ id: request.id, task: request.task } satisfies ParserRequest)
}

function startThread(): Worker {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const started = new Worker(new URL(`./parser-worker.${extension}`, import.meta.url))
  let failure: Error | null = null
  started.on('message', (message: ParserAnswer | 'ready') => {
    if (message !== 'ready') settle(message.id, (request) => request.resolve(message))
  })
  started.on('error', (error) => {
    failure = error instanceof Error ? error : new Error(String(error))
  })
  started.on('exit', () => {
    if (thread === started) thread = null
    for (const request of [...pending.values()]) {
      // Whoever was merely waiting is asked again; who was there at several ends may be their cause.
      if (request.threads < limits.attemptsMax) send(request)
      else if (failure !== null) settle(request.id, ({ reject }) => reject(failure as Error))
      else settle(request.id, ({ resolve }) => resolve(null))
    }
  })
  started.unref()
  return started
}

function settle(id: number, answer: (request: Pending) => void): void {
  const request = pending.get(id)
  if (request === undefined) return
  pending.delete(id)
  if (pending.size === 0) thread?.unref()
  answer(request)
}
