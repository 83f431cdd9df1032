import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { text } from '../../api/index.ts'
import { defineModule } from '../module.ts'
import { sumPictureBytes } from './media.ts'
import { blogRoutes } from './routes.ts'

export type { AuthorProfileTable, BlogTagTable, CategoryTable, PostTable } from './tables.ts'

/** Posts of a tenant, drafts included; their categories, tags and authors. */
export const blog = defineModule({
  name: 'blog',
  needs: ['teams'],
  migrations: fileURLToPath(new URL('../../../migrations/blog', import.meta.url)),
  constraints: {
    posts_slug_key: { field: 'slug', message: 'is taken by another post' },
    categories_slug_key: { field: 'slug', message: 'is taken by another category' },
    blog_tags_name_key: { field: 'name', message: 'is taken by another tag' },
    posts_category_id_fkey: { field: 'category_id', message: 'is not a category of this tenant' },
    posts_author_profile_id_fkey: { field: 'author_profile_id', message: 'is not an author of this tenant' },
    posts_author_id_fkey: { field: 'author_id', message: 'is not a member of this tenant' },
    post_tags_post_id_fkey: { field: 'id', message: 'is not a post of this tenant' },
    post_tags_tag_id_fkey: { field: 'tag_id', message: 'is not a tag of this tenant' },
    posts_featured_image_id_fkey: { field: 'featured_image_id', message: 'is not a picture of this tenant' },
    media_uploaded_by_fkey: { field: 'uploaded_by', message: 'is not a member of this tenant' },
    posts_published_content_check: {
      field: 'content',
      message: 'must not be empty once the post is published',
    },
  },
  options: z.strictObject({
    /** The title of a tenant's feed. */
    feedTitle: text(200).default('Blog'),
    /**
     * Where readers find a tenant's blog, with `:tenant` for its key; posts are below `/posts/<slug>`. Null: the
     * blog of this server.
     */
    siteUrl: z
      .url({ protocol: /^https?$/ })
      .max(500)
      .transform((url) => url.replace(/\/$/, ''))
      .nullable()
      .default(null),
  }),
  routes(services, options) {
    services.gauges.set('picture_bytes', (tenantId) =>
      sumPictureBytes(services.tenancy.tenant(tenantId).kysely),
    )
    return blogRoutes(services, options)
  },
})
