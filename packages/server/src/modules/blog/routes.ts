import type { Route } from '../../http/route.ts'
import { serveTags, serveTagsOf } from '../../http/tags.ts'
import type { Services } from '../module.ts'
import { authorProfiles, categories } from './categories-and-authors.ts'
import { mediaRoutes } from './media.ts'
import { posts } from './posts.ts'
import { type PublicOptions, publicRoutes } from './public-routes.ts'
import { publish } from './publish.ts'

export function blogRoutes(services: Services, options: PublicOptions): readonly Route[] {
  const resources = [
    posts,
    categories,
    authorProfiles,
    serveTags({ name: 'blog-tags', one: 'a tag of the blog' }, 'blog_tags'),
  ]
  return [
    ...resources.flatMap((resource) => resource(services)),
    ...serveTagsOf({ name: 'posts', one: 'a post', links: 'post_tags', owner: 'post_id', tags: 'blog_tags' }),
    publish,
    ...mediaRoutes(services),
    ...publicRoutes(services, options),
  ]
}
