import type { Insertable } from 'kysely'
import type { AuthorProfileTable, BlogTagTable, CategoryTable } from '../modules/blog/index.ts'
import type { ContactNoteTable, DealNoteTable, TagTable } from '../modules/crm/index.ts'
import type { DemoData } from './generator.ts'
import { createRandom, type Random } from './random.ts'
import * as words from './words.ts'

/** What hangs on the records of a demo tenant: tags, notes, categories, authors. */
export interface Annotations {
  readonly tags: readonly (Insertable<TagTable> & { id: string })[]
  readonly contactTags: readonly { contact_id: string; tag_id: string }[]
  readonly dealTags: readonly { deal_id: string; tag_id: string }[]
  readonly contactNotes: readonly Insertable<ContactNoteTable>[]
  readonly dealNotes: readonly Insertable<DealNoteTable>[]
  readonly categories: readonly (Insertable<CategoryTable> & { id: string })[]
  readonly authorProfiles: readonly (Insertable<AuthorProfileTable> & { id: string })[]
  readonly blogTags: readonly (Insertable<BlogTagTable> & { id: string })[]
  readonly postTags: readonly { post_id: string; tag_id: string }[]
  readonly posts: DemoData['posts']
}

/** The same seed and records make the same annotations; the posts come back with category and author. */
export function annotate(seed: string, data: DemoData): Annotations {
  const random = createRandom(`${seed} annotations`)
  const named = (names: readonly string[]) => names.map((name) => ({ id: random.uuid(), name }))
  const tags = named(words.tags)
  const blogTags = named(words.blogTags)
  const categories = named(words.categories).map((category) => ({
    ...category,
    slug: category.name.toLowerCase(),
  }))
  const wrote = new Set(data.posts.map(({ author_id }) => author_id))
  const authors = data.members.filter(({ userId }) => wrote.has(userId))
  const profiles = authors.map(({ userId, name }) => ({
    userId,
    profile: {
      id: random.uuid(),
      name,
      member_id: userId,
      bio: `Writes about ${random.pick(categories).name.toLowerCase()}.`,
    },
  }))
  const contacts = data.contacts.map(({ id }) => ({ contact_id: id }))
  const deals = data.deals.map(({ id }) => ({ deal_id: id }))
  const note = () => ({
    id: random.uuid(),
    author_id: random.pick(data.members).userId,
    body: random.pick(words.noteSentences),
  })
  return {
    tags,
    blogTags,
    categories,
    authorProfiles: profiles.map(({ profile }) => profile),
    contactTags: some(random, contacts, 0.5).map((link) => ({ ...link, tag_id: random.pick(tags).id })),
    dealTags: some(random, deals, 0.5).map((link) => ({ ...link, tag_id: random.pick(tags).id })),
    contactNotes: some(random, contacts, 0.3).map((link) => ({ ...note(), ...link })),
    dealNotes: some(random, deals, 0.3).map((link) => ({ ...note(), ...link })),
    posts: data.posts.map((post) => ({
      ...post,
      category_id: random.pick(categories).id,
      author_profile_id: profiles.find(({ userId }) => userId === post.author_id)?.profile.id ?? null,
    })),
    postTags: some(random, data.posts, 0.7).map(({ id }) => ({
      post_id: id,
      tag_id: random.pick(blogTags).id,
    })),
  }
}

function some<Item>(random: Random, items: readonly Item[], share: number): Item[] {
  return items.filter(() => random.chance(share))
}
