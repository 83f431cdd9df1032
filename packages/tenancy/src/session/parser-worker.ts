import { parentPort } from 'node:worker_threads'
import { loadModule } from 'libpg-query'
import { type Classification, classifyText, refuse } from './classify.ts'
import type { Place } from './rewrite/place-shape.ts'
import type { Rewriting } from './rewrite/rewrite.ts'

/** What is asked of the parser: whether a text may be sent, or how it is to be rewritten for a place. */
export type ParserTask =
  | { readonly kind: 'classify'; readonly text: string }
  | { readonly kind: 'rewrite'; readonly text: string; readonly place: Place }

export interface ParserRequest {
  readonly id: number
  readonly task: ParserTask
}

/** The answer to a task has the field of its kind. */
export interface ParserAnswer {
  readonly id: number
  readonly classification?: Classification
  readonly rewriting?: Rewriting
}

const port = parentPort
if (port === null) throw new Error('parser-worker runs as a worker thread only')
await loadModule()
port.on('message', async ({ id, task }: ParserRequest) => {
  try {
    port.postMessage(await answer(id, task))
  } catch {
    // Nested too deeply for the parser's stack, and that stack is not unwound: the next thread begins with a whole one.
    const refused: ParserAnswer = { id, classification: refuse('it is nested too deeply') }
    port.postMessage(refused)
    process.exit(0)
  }
})
port.postMessage('ready')

async function answer(id: number, task: ParserTask): Promise<ParserAnswer> {
  if (task.kind === 'classify') return { id, classification: classifyText(task.text) }
  // On demand: a thread that replaces another one is wanted soon, and most texts are not rewritten.
  const { rewriteText } = await import('./rewrite/rewrite.ts')
  return { id, rewriting: rewriteText(task.text, task.place) }
}
