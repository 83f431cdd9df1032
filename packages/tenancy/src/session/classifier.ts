/** Answers of the parser's thread, kept per text, so that a statement crosses over once. */
import { LRUCache } from 'lru-cache'
import { limits } from '../limits.ts'
import { type Classification, refuse } from './classify.ts'
import { askParser } from './parser-thread.ts'

const kept = new LRUCache<string, Classification>({
  max: limits.classificationsCached,
  maxSize: limits.classificationsCachedCharacters,
  maxEntrySize: limits.classifiedTextCachedCharacters,
  sizeCalculation: (_classification, text) => text.length + 1,
})

/** What may be done with a text: at once where it is known, else when the parser has read it. */
export function classify(text: string): Classification | Promise<Classification> {
  return kept.get(text) ?? classifyAnew(text)
}

/** Starts the parser's thread, and waits until it answers. */
export async function loadParser(): Promise<void> {
  await classify('select 1')
}

async function classifyAnew(text: string): Promise<Classification> {
  const answer = await askParser({ kind: 'classify', text })
  const classification = answer?.classification ?? refuse('the parser gave up on it')
  kept.set(text, classification)
  return classification
}
