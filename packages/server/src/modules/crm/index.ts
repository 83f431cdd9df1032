import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { outcome, text } from '../../api/index.ts'
import { defineModule } from '../module.ts'
import { countContacts } from './contacts.ts'
import { crmRoutes } from './routes.ts'
import { insertStages } from './stages.ts'

export type {
  CompanyTable,
  ContactNoteTable,
  ContactTable,
  DealNoteTable,
  DealTable,
  TagTable,
} from './tables.ts'

/** A name, or a name and what a deal is once it is there. */
const pipelineStage = z
  .union([text(100), z.strictObject({ name: text(100), outcome: outcome.nullable().default(null) })])
  .transform((stage) => (typeof stage === 'string' ? { name: stage, outcome: null } : stage))

const isUnique = (values: readonly unknown[]) => new Set(values).size === values.length

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
    stages_name_key: { field: 'name', message: 'is taken by another stage' },
    stages_position_key: { field: 'position', message: 'is taken by another stage' },
    stages_outcome_key: { field: 'outcome', message: 'is that of another stage' },
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
    /** The stages of a new tenant, in their order. */
    pipelineStages: z
      .array(pipelineStage)
      .min(1)
      .max(50)
      .refine((stages) => isUnique(stages.map(({ name }) => name)), 'must not name a stage twice')
      .refine(
        (stages) => isUnique(stages.flatMap(({ outcome }) => outcome ?? [])),
        'must not give an outcome to two stages',
      )
      .default([
        { name: 'Prospecting', outcome: null },
        { name: 'Negotiation', outcome: null },
        { name: 'Closed-Won', outcome: 'won' },
        { name: 'Closed-Lost', outcome: 'lost' },
      ]),
  }),
  routes(services) {
    services.gauges.set('contacts', (tenantId) => countContacts(services.tenancy.tenant(tenantId).kysely))
    return crmRoutes(services)
  },
  seed: (tenant, { pipelineStages }) => insertStages(tenant.kysely, pipelineStages),
})
