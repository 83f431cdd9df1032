import { z } from 'zod'
import { id, isNotEmpty, listQuery, moment, pageOf, text } from './common.ts'

const slug = z
  .string()
  .max(200)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must be lower-case letters, digits and single hyphens')

export const post = z.object({
  id,
  title: z.string(),
  /** Unique within the tenant. */
  slug,
  content: z.string(),
  /** A member, and their name; null in posts that are older than members. */
  author_id: id.nullable(),
  author: z.string().nullable(),
  /** Null while the post is a draft. */
  published_date: moment.nullable(),
  category_id: id.nullable(),
  author_profile_id: id.nullable(),
  created_at: moment,
})
export const postCreate = z.strictObject({
  title: text(200),
  slug,
  content: text(100_000, 0).optional(),
  author_id: id,
  published_date: moment.nullable().optional(),
  category_id: id.nullable().optional(),
  author_profile_id: id.nullable().optional(),
})
export const postChange = postCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const postList = listQuery(['published_date', 'created_at', 'title'])
export const postPage = pageOf(post)

export const category = z.object({ id, name: z.string(), slug, created_at: moment })
export const categoryCreate = z.strictObject({ name: text(100), slug })
export const categoryChange = categoryCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const categoryList = listQuery(['name', 'created_at'])
export const categoryPage = pageOf(category)

/** What readers are told of an author. */
export const authorProfile = z.object({
  id,
  /** The member's, as long as there is one; otherwise a pen name. */
  name: z.string(),
  member_id: id.nullable(),
  bio: z.string(),
  created_at: moment,
})
const authorProfileFields = z.strictObject({
  name: text(100).optional(),
  member_id: id.nullable().optional(),
  bio: text(2_000, 0).optional(),
})
export const authorProfileCreate = authorProfileFields.refine(
  ({ name, member_id }) => name !== undefined || typeof member_id === 'string',
  { path: ['name'], error: 'must be given, or member_id' },
)
export const authorProfileChange = authorProfileFields.refine(isNotEmpty, 'must name at least one field')
export const authorProfileList = listQuery(['name', 'created_at'])
export const authorProfilePage = pageOf(authorProfile)
