import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { text } from '../../api/index.ts'
import { defineModule } from '../module.ts'
import { insertStages } from './queries.ts'
import { crmRoutes } from './routes.ts'

export type {
  CompanyTable,
  ContactNoteTable,
  ContactTable,
  DealNoteTable,
  DealTable,
  TagTable,
} from './tables.ts'

/** Companies, their contacts, the deals with them, and what is noted of both. */
export const crm = defineModule({
  name: 'crm',
  needs: ['teams'],
  migrations: fileURLToPath(new URL('../../../migrations/crm', import.meta.url)),
  constraints: {
    companies_name_check: { field: 'name', message: 'must have 1 to 200 characters' },
    contacts_company_id_fkey: { field: 'company_id', message: 'is not a company of this tenant' },
    deals_contact_id_fkey: { field: 'contact_id', message: 'is not a contact of this tenant' },
    deals_stage_id_fkey: { field: 'stage_id', message: 'is not a stage of this tenant' },
    tags_name_key: { field: 'name', message: 'is taken by another tag' },
    contact_tags_contact_id_fkey: { field: 'id', message: 'is not a contact of this tenant' },
    contact_tags_tag_id_fkey: { field: 'tag_id', message: 'is not a tag of this tenant' },
    deal_tags_deal_id_fkey: { field: 'id', message: 'is not a deal of this tenant' },
    deal_tags_tag_id_fkey: { field: 'tag_id', message: 'is not a tag of this tenant' },
    contact_notes_contact_id_fkey: { field: 'contact_id', message: 'is not a contact of this tenant' },
    deal_notes_deal_id_fkey: { field: 'deal_id', message: 'is not a deal of this tenant' },
    deals_owner_id_fkey: { field: 'owner_id', message: 'is not a member of this tenant' },
    contact_notes_author_id_fkey: { field: 'author_id', message: 'is not a member of this tenant' },
    deal_notes_author_id_fkey: { field: 'author_id', message: 'is not a member of this tenant' },
    deals_amount_check: { field: 'amount', message: 'must not be negative' },
  },
  options: z.strictObject({
    /** Names of the stages of a new tenant, in their order. */
    pipelineStages: z
      .array(text(100))
      .min(1)
      .max(50)
      .refine((names) => new Set(names).size === names.length, 'must not name a stage twice')
      .default(['Prospecting', 'Negotiation', 'Closed-Won', 'Closed-Lost']),
  }),
  routes: crmRoutes,
  seed: (tenant, { pipelineStages }) => insertStages(tenant.kysely, pipelineStages),
})
