import { z } from 'zod'
import { id, idsQuery, isNotEmpty, listQuery, moment, pageOf, text } from './common.ts'

const slug = z
  .string()
  .max(100)
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'must be lower-case letters, digits and single hyphens')

export const postStatus = z.enum(['draft', 'published'])
export const post = z.object({
  id,
  title: z.string(),
  /** Unique within the tenant. */
  slug: z.string(),
  /** Markdown. */
  content: z.string(),
  /** What it says in short: the beginning of the content, unless it was given. */
  excerpt: z.string(),
  /** A post is published from its published_date on; a moment to come publishes it then. */
  status: postStatus,
  /** A member, and their name; null in posts that are older than members. */
  author_id: id.nullable(),
  author: z.string().nullable(),
  /** Null while the post is a draft. */
  published_date: moment.nullable(),
  category_id: id.nullable(),
  category_name: z.string().nullable(),
  author_profile_id: id.nullable(),
  featured_image_id: id.nullable(),
  /** What it shows here; null: what the picture says of itself. */
  featured_image_alt: z.string().nullable(),
  tag_names: z.array(z.string()),
  created_at: moment,
  updated_at: moment,
})
const postValues = {
  title: text(200),
  content: text(100_000, 0).optional(),
  /** Null: the beginning of the content. */
  excerpt: text(500).nullable().optional(),
  /** `published` publishes at once, `draft` takes back; not together with published_date. */
  status: postStatus.optional(),
  published_date: moment.nullable().optional(),
  category_id: id.nullable().optional(),
  author_profile_id: id.nullable().optional(),
  featured_image_id: id.nullable().optional(),
  featured_image_alt: text(200).nullable().optional(),
  /** The caller; admins may name another member. */
  author_id: id.optional(),
}
const isOnce = ({ status, published_date }: { status?: unknown; published_date?: unknown }) =>
  status === undefined || published_date === undefined
const once = { message: 'must not be given together with published_date', path: ['status'] }
/** Without a slug, one is made of the title. */
export const postCreate = z.strictObject({ ...postValues, slug: slug.optional() }).refine(isOnce, once)
export const postChange = z
  .strictObject({ ...postValues, slug })
  .partial()
  .refine(isNotEmpty, 'must name at least one field')
  .refine(isOnce, once)
export const postList = listQuery(['published_date', 'created_at', 'title'], {
  status: postStatus.optional(),
  category_id: id.optional(),
  author_id: id.optional(),
  tags: idsQuery.optional(),
})
export const postPage = pageOf(post)

/** What a program publishes in one request. */
export const publication = z.strictObject({
  title: text(200),
  slug: slug.optional(),
  content: text(100_000),
  excerpt: text(500).optional(),
  published_date: moment.optional(),
  /** Slug of a category. */
  category: slug.optional(),
  /** Names; those that are not there yet are made. */
  tags: z.array(text(50)).max(20).optional(),
  featured_image_id: id.optional(),
  author_id: id.optional(),
})

/** A published post, as everybody may read it. */
export const article = z.object({
  title: z.string(),
  slug: z.string(),
  excerpt: z.string(),
  /** Rendered from Markdown and sanitised. */
  html: z.string(),
  author: z.string().nullable(),
  author_bio: z.string().nullable(),
  category: z.string().nullable(),
  /** Its files are at `/blog/media/<id>/<variant>`. */
  featured_image_id: id.nullable(),
  featured_image_alt: z.string().nullable(),
  tag_names: z.array(z.string()),
  published_date: moment,
})
export const articleParameters = z.object({ post_slug: z.string().regex(/^[a-z0-9-]{1,100}$/) })
export const articleList = listQuery(['published_date'])
export const articlePage = pageOf(article.omit({ html: true }).extend({ id }))

export const category = z.object({
  id,
  name: z.string(),
  slug: z.string(),
  description: z.string(),
  post_count: z.int(),
  created_at: moment,
})
export const categoryCreate = z.strictObject({
  name: text(100),
  slug,
  description: text(500, 0).optional(),
})
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
