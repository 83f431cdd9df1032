import { z } from 'zod'
import { id, listQuery, moment, pageOf, text } from './common.ts'

/** What a picture may be sent as. */
export const pictureTypes = ['image/jpeg', 'image/png', 'image/webp', 'image/gif'] as const

/** The picture as it was uploaded, and versions that fit into 800 × 450 and 300 × 200. */
export const mediaVariant = z.enum(['original', 'medium', 'small'])

const file = z.object({
  variant: mediaVariant,
  content_type: z.string(),
  width: z.int(),
  height: z.int(),
  bytes: z.int(),
  /** Below the address of the application. */
  url: z.string(),
})

/** A picture of the tenant. */
export const media = z.object({
  id,
  filename: z.string(),
  /** What it shows, for those who do not see it. */
  alt: z.string(),
  uploaded_by: id.nullable(),
  files: z.array(file),
  created_at: moment,
})
/** The picture is the body; this is in the query. */
export const mediaUpload = z.strictObject({ filename: text(255), alt: text(200, 0).optional() })
export const mediaChange = z.strictObject({ alt: text(200, 0) })
export const mediaList = listQuery(['created_at', 'filename'])
export const mediaPage = pageOf(media)
export const mediaFileParameters = z.object({ id, variant: mediaVariant })
