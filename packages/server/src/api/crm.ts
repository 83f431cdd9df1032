import { z } from 'zod'
import { amount, id, isNotEmpty, listQuery, moment, pageOf, text } from './common.ts'

export const company = z.object({
  id,
  name: z.string(),
  website: z.string().nullable(),
  industry: z.string().nullable(),
  created_at: moment,
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
export const companyList = listQuery(['name', 'created_at', 'industry'])
export const companyPage = pageOf(company)

export const contact = z.object({
  id,
  first_name: z.string(),
  last_name: z.string(),
  email: z.string(),
  company_id: id,
  company_name: z.string(),
  created_at: moment,
})
export const contactCreate = z.strictObject({
  first_name: text(100),
  last_name: text(100),
  email: z.email().max(254),
  company_id: id,
})
export const contactChange = contactCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const contactList = listQuery(['created_at', 'last_name', 'email'])
export const contactPage = pageOf(contact)

/** Stages come with the tenant and are read only. */
export const stage = z.object({ id, name: z.string(), position: z.int() })
export const stageList = z.strictObject({})
export const stagePage = z.object({ items: z.array(stage) })

export const deal = z.object({
  id,
  title: z.string(),
  /** Null until it is estimated. */
  amount: amount.nullable(),
  contact_id: id,
  contact_name: z.string(),
  stage_id: id,
  stage_name: z.string(),
  /** A member, and their name; null in deals that are older than members. */
  owner_id: id.nullable(),
  owner: z.string().nullable(),
  created_at: moment,
})
export const dealCreate = z.strictObject({
  title: text(200),
  amount: amount.nullable().optional(),
  contact_id: id,
  stage_id: id,
  owner_id: id,
})
export const dealChange = dealCreate.partial().refine(isNotEmpty, 'must name at least one field')
export const dealList = listQuery(['created_at', 'amount', 'title'])
export const dealPage = pageOf(deal)

const note = {
  id,
  author_id: id.nullable(),
  author: z.string().nullable(),
  body: z.string(),
  created_at: moment,
}
const noteCreate = { author_id: id, body: text(10_000) }
const noteChange = z.strictObject(noteCreate).partial().refine(isNotEmpty, 'must name at least one field')
export const noteList = listQuery(['created_at'])

export const contactNote = z.object({ ...note, contact_id: id })
export const contactNoteCreate = z.strictObject({ ...noteCreate, contact_id: id })
export const contactNoteChange = noteChange
export const contactNotePage = pageOf(contactNote)
/** The newest notes on one contact. */
export const notesOfContact = z.object({ items: z.array(contactNote) })

export const dealNote = z.object({ ...note, deal_id: id })
export const dealNoteCreate = z.strictObject({ ...noteCreate, deal_id: id })
export const dealNoteChange = noteChange
export const dealNotePage = pageOf(dealNote)
/** The newest notes on one deal. */
export const notesOfDeal = z.object({ items: z.array(dealNote) })
