import * as api from '../../api/crm.ts'
import { type ResourceOptions, serveResource } from '../../http/resource.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import { serveTags, serveTagsOf } from '../../http/tags.ts'
import { contactNotes, dealNotes, notesOf } from './notes.ts'
import * as queries from './queries.ts'

const companies = serveResource({
  name: 'companies',
  item: api.company,
  create: api.companyCreate,
  change: api.companyChange,
  list: api.companyList,
  sorts: {
    name: { column: 'companies.name', order: 'asc' },
    created_at: { column: 'companies.created_at', order: 'desc' },
    industry: { column: 'companies.industry', order: 'asc', nullable: true },
  },
  readPage: queries.readCompanies,
  find: queries.findCompany,
  insert: queries.insertCompany,
  update: queries.updateCompany,
  remove: (db, id) => queries.remove(db, 'companies', id),
})

const contacts = serveResource({
  name: 'contacts',
  item: api.contact,
  create: api.contactCreate,
  change: api.contactChange,
  list: api.contactList,
  sorts: {
    created_at: { column: 'contacts.created_at', order: 'desc' },
    last_name: { column: 'contacts.last_name', order: 'asc' },
    email: { column: 'contacts.email', order: 'asc' },
  },
  readPage: queries.readContacts,
  find: queries.findContact,
  insert: queries.insertContact,
  update: queries.updateContact,
  remove: (db, id) => queries.remove(db, 'contacts', id),
})

const deals = serveResource({
  name: 'deals',
  item: api.deal,
  create: api.dealCreate,
  change: api.dealChange,
  list: api.dealList,
  sorts: {
    created_at: { column: 'deals.created_at', order: 'desc' },
    amount: { column: 'deals.amount', order: 'desc', nullable: true },
    title: { column: 'deals.title', order: 'asc' },
  },
  readPage: queries.readDeals,
  find: queries.findDeal,
  insert: queries.insertDeal,
  update: queries.updateDeal,
  remove: (db, id) => queries.remove(db, 'deals', id),
})

const stages = tenantRoute({
  method: 'GET',
  path: '/stages',
  summary: 'The stages of deals, in their order',
  access: 'viewer',
  query: api.stageList,
  answers: { 200: api.stagePage },
  handle: async ({ db }) => ({ items: await queries.readStages(db) }),
})

export function crmRoutes(options: ResourceOptions): readonly Route[] {
  const resources = [companies, contacts, deals, serveTags('tags', 'tags'), contactNotes, dealNotes]
  return [
    ...resources.flatMap((resource) => resource(options)),
    ...serveTagsOf({ name: 'contacts', links: 'contact_tags', owner: 'contact_id', tags: 'tags' }),
    ...serveTagsOf({ name: 'deals', links: 'deal_tags', owner: 'deal_id', tags: 'tags' }),
    ...notesOf,
    stages,
  ]
}
