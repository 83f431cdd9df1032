import { pictures, posts } from './blog.ts'
import { notesAndTags, pipeline, records } from './crm.ts'
import { pages, refusals, repetition } from './protocol.ts'
import type { Scenario } from './scenario.ts'

/** The application as its clients know it. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  records,
  notesAndTags,
  pipeline,
  posts,
  pictures,
  repetition,
  pages,
  refusals,
}
