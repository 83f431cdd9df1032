import { idParameters } from '../../api/common.ts'
import * as api from '../../api/invoices.ts'
import type { Caller } from '../../http/access.ts'
import { applicationRoute, type Route } from '../../http/route.ts'
import { type AuthTables, requireOperator } from '../auth/index.ts'
import type { Billing } from './billing.ts'
import { describeRecorded, listInvoices, recordInvoice, settleInvoice } from './invoices.ts'
import { hint } from './subscriptions.ts'

/** Where nobody takes money online: operators record what they have written elsewhere. */
export function invoiceRoutes({ services: { tenancy }, db, settler }: Billing): readonly Route[] {
  const operators = tenancy.controlPlane.kysely<AuthTables>('auth')
  const require = async (caller: Caller | null) => void (await requireOperator(operators, caller))
  const many = { path: '/operator/invoices', access: 'user' } as const
  return [
    applicationRoute({
      ...many,
      method: 'POST',
      summary: 'Records an invoice of an organization, once for each number',
      body: api.invoiceRecord,
      answers: { 201: api.recordedInvoice, 200: api.recordedInvoice },
      status: 201,
      handle: async ({ caller, body: { organization, ...written }, reply, audit }) => {
        await require(caller)
        const { id: tenantId } = await tenancy.tenants.get(organization)
        audit({ tenantId })
        const { invoice, isNew } = await recordInvoice(db, tenantId, written)
        if (!isNew) reply.status(200)
        return describeRecorded(invoice)
      },
    }),
    applicationRoute({
      ...many,
      method: 'GET',
      summary: 'The invoices that were recorded of an organization, the newest ones first',
      query: api.recordedInvoiceList,
      answers: { 200: api.recordedInvoicePage },
      handle: async ({ caller, query: { organization, ...page } }) => {
        await require(caller)
        const { id } = await tenancy.tenants.get(organization)
        const { rows, next } = await listInvoices(db, id, page)
        return { items: rows.map(describeRecorded), next }
      },
    }),
    applicationRoute({
      method: 'PATCH',
      path: '/operator/invoices/:id',
      summary: 'Says that an invoice is paid, or void; for good',
      access: 'user',
      params: idParameters,
      body: api.invoiceSettlement,
      answers: { 200: api.recordedInvoice },
      handle: async ({ caller, params: { id }, body, audit }) => {
        await require(caller)
        const invoice = await db.transaction().execute(async (transaction) => {
          const settled = await settleInvoice(transaction, id, body)
          await hint(transaction, 'tenant_id', settled.tenant_id)
          return settled
        })
        settler.request()
        audit({ tenantId: invoice.tenant_id })
        return describeRecorded(invoice)
      },
    }),
  ]
}
