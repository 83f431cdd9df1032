import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod'
import * as api from '../../api/crm.ts'
import { type ResourceOptions, serveResource } from '../../http/resource.ts'
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

const stages: FastifyPluginCallbackZod = (app, _options, done) => {
  const schema = { querystring: api.stageList, response: { 200: api.stagePage } }
  app.get('/stages', { schema }, async (request) => ({
    items: await queries.readStages(request.tenant.kysely),
  }))
  done()
}

export const crmRoutes: FastifyPluginCallbackZod<ResourceOptions> = (app, { cursors }, done) => {
  const resources = [companies, contacts, deals, serveTags('tags', 'tags'), contactNotes, dealNotes]
  for (const resource of resources) app.register(resource, { cursors })
  app.register(serveTagsOf({ name: 'contacts', links: 'contact_tags', owner: 'contact_id', tags: 'tags' }))
  app.register(serveTagsOf({ name: 'deals', links: 'deal_tags', owner: 'deal_id', tags: 'tags' }))
  app.register(notesOf)
  app.register(stages)
  done()
}
