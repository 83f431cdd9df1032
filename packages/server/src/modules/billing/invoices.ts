import { type Selectable, sql } from 'kysely'
import type { z } from 'zod'
import type { InvoiceRequest } from '../../api/billing.ts'
import type { invoiceRecord, invoiceSettlement } from '../../api/invoices.ts'
import { ProblemError } from '../../http/problem-error.ts'
import type { BillingTables, Db } from './tables.ts'

// Invoices that somebody has written elsewhere. The number says which one it is: recorded again it is the same, or a mistake.

type Row = Selectable<BillingTables['invoice']>
type Written = Omit<z.output<typeof invoiceRecord>, 'organization'>

/**
 * @returns the invoice, and whether it was recorded just now
 * @throws ProblemError `INVOICE_NUMBER_USED` for a number that says something else already
 */
export async function recordInvoice(
  db: Db,
  tenantId: string,
  written: Written,
): Promise<{ readonly invoice: Row; readonly isNew: boolean }> {
  const { due_at = null, url = null, ...rest } = written
  const wanted = { ...rest, due_at, url, tenant_id: tenantId }
  const made = await db
    .insertInto('invoice')
    .values({ ...wanted, amount: String(rest.amount) })
    .onConflict((conflict) => conflict.column('number').doNothing())
    .returningAll()
    .executeTakeFirst()
  if (made !== undefined) return { invoice: made, isNew: true }
  const known = await db
    .selectFrom('invoice')
    .selectAll()
    .where('number', '=', written.number)
    .executeTakeFirst()
  const isSame =
    known !== undefined &&
    Object.entries(wanted).every(([name, value]) => plain(Object(known)[name]) === plain(value))
  if (isSame) return { invoice: known, isNew: false }
  throw new ProblemError(409, 'INVOICE_NUMBER_USED', `Another invoice has the number ${written.number}`)
}

/** PostgreSQL's numbers come as text, and the text of a Date has no milliseconds. */
const plain = (value: unknown): string => (value instanceof Date ? value.toISOString() : String(value))

/**
 * Says that one is paid, or void; repeatable.
 *
 * @throws ProblemError `NOT_FOUND`; `INVOICE_SETTLED` for one that is the other already
 */
export async function settleInvoice(
  db: Db,
  id: string,
  { status }: z.output<typeof invoiceSettlement>,
): Promise<Row> {
  const settled = await db
    .updateTable('invoice')
    .set({ status, settled_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('status', '=', 'open')
    .returningAll()
    .executeTakeFirst()
  if (settled !== undefined) return settled
  const known = await db.selectFrom('invoice').selectAll().where('id', '=', id).executeTakeFirst()
  if (known === undefined) throw new ProblemError(404, 'NOT_FOUND', 'No such invoice')
  if (known.status === status) return known
  throw new ProblemError(409, 'INVOICE_SETTLED', `The invoice is ${known.status} already; write another one`)
}

/** @throws ProblemError `NOT_FOUND` for the next of a page that the organization has not had */
export async function listInvoices(db: Db, tenantId: string, { limit, after }: InvoiceRequest) {
  const own = db.selectFrom('invoice').selectAll().where('tenant_id', '=', tenantId)
  const last = after === undefined ? null : await findLast(db, tenantId, after)
  const found = await own
    .$if(last !== null, (query) =>
      query.where(sql<boolean>`(issued_at, id) < (${last?.issued_at}::timestamptz, ${last?.id}::uuid)`),
    )
    .orderBy('issued_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const rows = found.slice(0, limit)
  const next = found.length > limit ? (rows.at(-1)?.id.replaceAll('-', '') ?? null) : null
  return { rows, next }
}

async function findLast(db: Db, tenantId: string, after: string) {
  const unknown = new ProblemError(404, 'NOT_FOUND', 'No such page of invoices')
  if (!/^[0-9a-f]{32}$/.test(after)) throw unknown
  return await db
    .selectFrom('invoice')
    // As the database has it: a Date would lose the microseconds.
    .select(['id', sql<string>`issued_at::text`.as('issued_at')])
    .where('id', '=', after)
    .where('tenant_id', '=', tenantId)
    .executeTakeFirstOrThrow(() => unknown)
}

/** As the organization sees it. */
export function describeInvoice({ id, number, status, currency, amount, issued_at, due_at, url }: Row) {
  return {
    id,
    number,
    status,
    currency,
    amount_due: Number(amount),
    amount_paid: status === 'paid' ? Number(amount) : 0,
    created_at: issued_at,
    due_at,
    url: null,
    pdf_url: url,
  }
}

/** As whoever has recorded it does. */
export function describeRecorded(row: Row) {
  const { tenant_id: organization_id, period_starts_at, period_ends_at, settled_at } = row
  return { ...describeInvoice(row), organization_id, period_starts_at, period_ends_at, settled_at }
}
