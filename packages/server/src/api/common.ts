import { z } from 'zod'

/** PostgreSQL stores neither NUL nor half a surrogate pair. */
const storable = (value: string): boolean => value.isWellFormed() && !value.includes('\0')

/** One line or more of text, trimmed; lengths count UTF-16 units. */
export const text = (lengthMax: number, lengthMin = 1) =>
  z
    .string()
    .trim()
    .min(lengthMin)
    .max(lengthMax)
    .refine(storable, 'must be well-formed text without NUL characters')

export const id = z.guid()

/** An RFC 3339 moment with offset on the wire, a Date in code. */
export const moment = z.codec(
  z.iso.datetime({ offset: true }),
  z.date().min(new Date('1900-01-01T00:00:00Z')).max(new Date('9999-12-31T23:59:59.999Z')),
  { decode: (value) => new Date(value), encode: (value) => value.toISOString() },
)

/** A calendar day, `2026-01-31`: no time, no zone. */
export const day = z.iso
  .date()
  .refine((value) => value >= '1900-01-01' && value <= '9999-12-31', 'must be a day from 1900 on')

/** An exact decimal: JSON numbers would lose cents. */
export const amount = z
  .string()
  .regex(/^\d{1,12}(\.\d{1,2})?$/, 'must be a decimal like "1200.50", up to 12 digits before the point')

export const idParameters = z.object({ id })

/** A record and one of its notes. */
export const noteParameters = z.object({ id, note_id: id })

/** A record and one of its tags. */
export const linkParameters = z.object({ id, tag_id: id })

/** A word that records are found by; unique within the tenant. */
export const tag = z.object({ id, name: z.string(), created_at: moment })
export const tagCreate = z.strictObject({ name: text(50) })
/** The tags of one record, by name. */
export const tagsOf = z.object({ items: z.array(tag) })

/** A PATCH that names nothing is a mistake of the caller, not a success. */
export const isNotEmpty = (change: object): boolean => Object.keys(change).length > 0

export type Order = 'asc' | 'desc'

/** What a list takes: search, order, page. */
export interface ListQuery {
  readonly q?: string | undefined
  readonly sort: string
  readonly order?: Order | undefined
  readonly limit: number
  readonly cursor?: string | undefined
}

/**
 * @param sorts the columns a list can be ordered by, the default first
 * @param filters what else narrows it
 */
export const listQuery = <
  const Sorts extends readonly [string, ...string[]],
  Filters extends z.ZodRawShape = Record<never, never>,
>(
  sorts: Sorts,
  filters?: Filters,
) =>
  z.strictObject({
    ...((filters ?? {}) as Filters),
    q: text(200).optional(),
    sort: z.enum(sorts).default(sorts[0]),
    order: z.enum(['asc', 'desc']).optional(),
    limit: z
      .string()
      .regex(/^\d{1,3}$/, 'must be a whole number from 1 to 100')
      .default('20')
      .transform(Number)
      .refine((limit) => limit >= 1 && limit <= 100, 'must be a whole number from 1 to 100'),
    cursor: z.string().min(1).max(4000).optional(),
  })

/** Ids with commas between them, in a query: only records that have all of them. */
export const idsQuery = z
  .string()
  .max(10 * 37)
  .transform((value) => value.split(','))
  .pipe(z.array(id).min(1).max(10))

/** One page; `next` asks for the following one and is null on the last. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next: z.string().nullable() })

export const liveness = z.object({ status: z.literal('ok') })

/** Every error answer: RFC 9457 problem details. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  /** Names this one occurrence in the server's log. */
  instance: z.string(),
  /** The parts of the request that were not accepted. */
  errors: z
    .array(z.object({ in: z.enum(['body', 'query', 'path']), path: z.string(), message: z.string() }))
    .optional(),
})
export type Problem = z.output<typeof problem>

export const tagList = listQuery(['name', 'created_at'])
export const tagPage = pageOf(tag)
