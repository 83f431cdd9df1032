import { z } from 'zod'
import { amount, day, id, idsQuery, isNotEmpty, listQuery, moment, pageOf, text } from './common.ts'

const stamps = { created_at: moment, updated_at: moment }

export const company = z.object({
  id,
  name: z.string(),
  website: z.string().nullable(),
  industry: z.string().nullable(),
  contact_count: z.int(),
  ...stamps,
})
export const companyCreate = z.strictObject({
  name: text(200),
  website: z
    .url({ protocol: /^https?$/ })
    .max(500)
    .nullable()
    .optional(),
  industry: text(100).nullable().optional(),
})
export const companyChange = companyCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const companyList = listQuery(['name', 'created_at', 'industry'], { industry: text(100).optional() })
export const companyPage = pageOf(company)

export const contactStatus = z.enum(['new', 'contacted', 'in_discussion', 'pending_response', 'inactive'])
export const contact = z.object({
  id,
  first_name: z.string(),
  last_name: z.string(),
  full_name: z.string(),
  email: z.string(),
  phone: z.string().nullable(),
  /** What they are in their company. */
  title: z.string().nullable(),
  status: contactStatus,
  company_id: id,
  company_name: z.string(),
  tag_names: z.array(z.string()),
  deal_count: z.int(),
  /** When the newest note on them was made; null before the first one. */
  last_contacted_at: moment.nullable(),
  ...stamps,
})
export const contactCreate = z.strictObject({
  first_name: text(100),
  last_name: text(100),
  email: z.email().max(254),
  phone: text(40).nullable().optional(),
  title: text(100).nullable().optional(),
  status: contactStatus.optional(),
  company_id: id,
})
export const contactChange = contactCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const contactList = listQuery(
  ['created_at', 'last_name', 'first_name', 'email', 'last_contacted_at'],
  { status: contactStatus.optional(), company_id: id.optional(), tags: idsQuery.optional() },
)
export const contactPage = pageOf(contact)

/** What a deal is once it is in the stage. */
export const outcome = z.enum(['won', 'lost'])
const position = z.int().min(1).max(10_000)
export const stage = z.object({
  id,
  name: z.string(),
  position: z.int(),
  /** Deals that are marked go to the stage of that outcome; one stage at most has it. */
  outcome: outcome.nullable(),
  deal_count: z.int(),
})
export const stageCreate = z.strictObject({
  name: text(100),
  /** The last one, unless it is given. */
  position: position.optional(),
  outcome: outcome.nullable().optional(),
})
export const stageChange = stageCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const stageList = listQuery(['position', 'name'])
export const stagePage = pageOf(stage)
/** All stages, in the order they are to have. */
export const stageOrder = z.strictObject({ stage_ids: z.array(id).min(1).max(1_000) })
export const stagesInOrder = z.object({ items: z.array(stage) })

/** Per cent. */
const probability = z.int().min(0).max(100)
export const deal = z.object({
  id,
  title: z.string(),
  /** Null until it is estimated. */
  amount: amount.nullable(),
  probability,
  expected_close_date: day.nullable(),
  contact_id: id,
  contact_name: z.string(),
  company_id: id,
  company_name: z.string(),
  stage_id: id,
  stage_name: z.string(),
  /** A member, and their name; null in deals that are older than members. */
  owner_id: id.nullable(),
  owner: z.string().nullable(),
  tag_names: z.array(z.string()),
  ...stamps,
})
export const dealCreate = z.strictObject({
  title: text(200),
  amount: amount.nullable().optional(),
  probability: probability.optional(),
  expected_close_date: day.nullable().optional(),
  contact_id: id,
  stage_id: id,
  /** The caller, unless another member is named. */
  owner_id: id.optional(),
})
export const dealChange = dealCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const dealList = listQuery(['created_at', 'amount', 'title', 'expected_close_date'], {
  stage_id: id.optional(),
  owner_id: id.optional(),
  company_id: id.optional(),
  tags: idsQuery.optional(),
})
export const dealPage = pageOf(deal)

const note = {
  id,
  author_id: id.nullable(),
  author: z.string().nullable(),
  body: z.string(),
  created_at: moment,
}
/** The author is the caller, unless an admin names another member. */
export const noteCreate = z.strictObject({ body: text(10_000), author_id: id.optional() })
export const noteChange = z.strictObject({ body: text(10_000) })
export const noteList = listQuery(['created_at'])

export const contactNote = z.object({ ...note, contact_id: id })
export const contactNoteCreate = noteCreate.extend({ contact_id: id })
export const contactNotePage = pageOf(contactNote)

export const dealNote = z.object({ ...note, deal_id: id })
export const dealNoteCreate = noteCreate.extend({ deal_id: id })
export const dealNotePage = pageOf(dealNote)
