import type { ResourceOptions } from '../../http/resource.ts'
import type { Route } from '../../http/route.ts'
import { serveTags, serveTagsOf } from '../../http/tags.ts'
import { bulkRoutes } from './bulk.ts'
import { companies } from './companies.ts'
import { contacts } from './contacts.ts'
import { dashboard } from './dashboard.ts'
import { deals } from './deals.ts'
import { noteRoutes } from './notes.ts'
import { reorderStages, stages } from './stages.ts'

export function crmRoutes(options: ResourceOptions): readonly Route[] {
  const resources = [companies, contacts, deals, serveTags({ name: 'tags', one: 'a tag' }, 'tags')]
  return [
    ...resources.flatMap((resource) => resource(options)),
    ...serveTagsOf({
      name: 'contacts',
      one: 'a contact',
      links: 'contact_tags',
      owner: 'contact_id',
      tags: 'tags',
    }),
    ...serveTagsOf({ name: 'deals', one: 'a deal', links: 'deal_tags', owner: 'deal_id', tags: 'tags' }),
    ...noteRoutes(options),
    ...stages(options, { write: 'admin', impersonated: true }),
    reorderStages,
    ...bulkRoutes,
    dashboard,
  ]
}
