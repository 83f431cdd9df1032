import { z } from 'zod'
import { id } from './common.ts'
import { contact, deal, outcome } from './crm.ts'

const deal_ids = z
  .array(id)
  .min(1)
  .max(500)
  .refine((ids) => new Set(ids).size === ids.length, 'must not name a deal twice')
/** The deals to change: all of them, or, if one is not there, none. */
export const dealsNamed = z.strictObject({ deal_ids })
export const dealsToStage = z.strictObject({ deal_ids, stage_id: id })
export const dealsChanged = z.object({ updated: z.int(), stage_id: id.nullable() })

/** A sum of amounts: it may be larger than any of them. */
const sum = z.string().regex(/^\d+(\.\d+)?$/)

const figure = z.object({ deal_count: z.int(), value: sum })
export const dashboard = z.object({
  total_companies: z.int(),
  total_contacts: z.int(),
  total_deals: z.int(),
  /** Amounts of the deals that are neither won (100 %) nor lost (0 %); of all of them by their probability. */
  pipeline_value: sum,
  weighted_value: sum,
  won_value: sum,
  deals_by_stage: z.array(
    figure.extend({ stage_id: id, name: z.string(), position: z.int(), outcome: outcome.nullable() }),
  ),
  recent_contacts: z.array(contact),
  recent_deals: z.array(deal),
})
