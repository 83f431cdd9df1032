import type { ColumnType, Generated, RawBuilder } from 'kysely'
import type { z } from 'zod'
import type { contactStatus, outcome } from '../../api/crm.ts'
import type { MemberId } from '../teams/index.ts'

type ContactStatus = z.output<typeof contactStatus>
export type Outcome = z.output<typeof outcome>

/** Set by the database, readable as a Date; the demo data backdates it. */
type CreatedAt = ColumnType<Date, Date | undefined, never>
type UpdatedAt = ColumnType<Date, Date | undefined, Date | RawBuilder<Date>>

export interface CompanyTable {
  id: Generated<string>
  name: string
  website: string | null
  industry: string | null
  created_at: CreatedAt
  updated_at: UpdatedAt
}

export interface ContactTable {
  id: Generated<string>
  first_name: string
  last_name: string
  email: string
  phone: string | null
  title: string | null
  status: Generated<ContactStatus>
  company_id: string
  last_contacted_at: Date | null
  created_at: CreatedAt
  updated_at: UpdatedAt
}

export interface StageTable {
  id: Generated<string>
  name: string
  position: number
  outcome: Outcome | null
}

export interface DealTable {
  id: Generated<string>
  title: string
  /** numeric(14, 2), as text: exact. */
  amount: string | null
  /** Per cent. */
  probability: Generated<number>
  /** A date, read as text. */
  expected_close_date: string | null
  contact_id: string
  stage_id: string
  owner_id: MemberId
  created_at: CreatedAt
  updated_at: UpdatedAt
}

export interface TagTable {
  id: Generated<string>
  name: string
  created_at: CreatedAt
}

export interface ContactNoteTable {
  id: Generated<string>
  contact_id: string
  author_id: MemberId
  body: string
  created_at: CreatedAt
}

export interface DealNoteTable {
  id: Generated<string>
  deal_id: string
  author_id: MemberId
  body: string
  created_at: CreatedAt
}

declare module '@quickscale/tenancy/fastify' {
  interface TenantTables {
    companies: CompanyTable
    contacts: ContactTable
    stages: StageTable
    deals: DealTable
    tags: TagTable
    contact_tags: { contact_id: string; tag_id: string }
    deal_tags: { deal_id: string; tag_id: string }
    contact_notes: ContactNoteTable
    deal_notes: DealNoteTable
  }
}
