import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import * as api from '../../api/blog.ts'
import { type ResourceOptions, serveResource } from '../../http/resource.ts'
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

export const blogRoutes: FastifyPluginCallbackZod<ResourceOptions> = (app, { cursors }, done) => {
  for (const resource of [posts, categories, authorProfiles, serveTags('blog-tags', 'blog_tags')]) {
    app.register(resource, { cursors })
  }
  app.register(serveTagsOf({ name: 'posts', links: 'post_tags', owner: 'post_id', tags: 'blog_tags' }))
  done()
}
