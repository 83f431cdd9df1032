import * as api from '../../api/blog.ts'
import { type ResourceOptions, serveResource } from '../../http/resource.ts'
import type { Route } from '../../http/route.ts'
import { serveTags, serveTagsOf } from '../../http/tags.ts'
import { authorProfiles, categories } from './categories-and-authors.ts'
import * as queries from './queries.ts'

const posts = serveResource({
  name: 'posts',
  item: api.post,
  create: api.postCreate,
  change: api.postChange,
  list: api.postList,
  sorts: {
    published_date: { column: 'posts.published_date', order: 'desc', nullable: true },
    created_at: { column: 'posts.created_at', order: 'desc' },
    title: { column: 'posts.title', order: 'asc' },
  },
  readPage: queries.readPosts,
  find: queries.findPost,
  insert: queries.insertPost,
  update: queries.updatePost,
  remove: queries.removePost,
})

export function blogRoutes(options: ResourceOptions): readonly Route[] {
  const resources = [posts, categories, authorProfiles, serveTags('blog-tags', 'blog_tags')]
  return [
    ...resources.flatMap((resource) => resource(options)),
    ...serveTagsOf({ name: 'posts', links: 'post_tags', owner: 'post_id', tags: 'blog_tags' }),
  ]
}
