import { randomUUID } from 'node:crypto'
import { type Form, formOf } from './stripe-form.ts'

export interface StripeSubscription {
  readonly id: string
  readonly object: 'subscription'
  readonly customer: string
  readonly created: number
  status: string
  cancel_at: number | null
  cancel_at_period_end: boolean
  trial_end: number | null
  readonly metadata: object
  items: { object: 'list'; data: { id: string; current_period_end: number; price: { id: string } }[] }
}

export interface StripeInvoice {
  readonly id: string
  readonly object: 'invoice'
  readonly customer: string
  readonly number: string
  readonly currency: string
  readonly created: number
  readonly amount_due: number
  amount_paid: number
  status: 'open' | 'paid' | 'void'
  readonly due_date: null
  readonly hosted_invoice_url: string
  readonly invoice_pdf: string
}

/** What happened, as Stripe tells of it. */
export interface StripeEvent {
  readonly id: string
  readonly object: 'event'
  readonly type: string
  readonly created: number
  readonly data: { readonly object: object }
}

interface Session {
  readonly id: string
  readonly customer: string
  readonly price: string
  readonly trialEnd: number | null
  readonly metadata: object
  status: 'open' | 'complete' | 'expired'
}

const MONTH_SECONDS = 30 * 86_400
const seconds = () => Math.floor(Date.now() / 1000)
const idOf = (prefix: string) => `${prefix}_${randomUUID().replaceAll('-', '').slice(0, 24)}`

/** Everything there is at Stripe, and what has happened to it. Customers and the passing of time are methods. */
export class StripeState {
  readonly customers = new Map<string, { id: string; email: string | null }>()
  readonly sessions = new Map<string, Session>()
  readonly subscriptions = new Map<string, StripeSubscription>()
  readonly invoices: StripeInvoice[] = []
  readonly events: StripeEvent[] = []
  readonly metered: Form[] = []
  readonly #deleted = new Set<string>()
  /** Cards of everybody are refused. */
  declines = false

  makeCustomer(form: Form): object {
    const id = idOf('cus')
    const made = { id, object: 'customer', email: form.email ?? null, metadata: form.metadata ?? {} }
    this.customers.set(id, { id, email: typeof form.email === 'string' ? form.email : null })
    this.#tell('customer.created', made)
    return made
  }

  /** @returns null when there is no such customer */
  changeCustomer(id: string, form: Form): object | null {
    const found = this.customers.get(id)
    if (found === undefined) return null
    if (typeof form.email === 'string') found.email = form.email
    return { ...found, object: 'customer' }
  }

  /** Somebody deletes a customer in the dashboard, and with them what they pay for. */
  deleteCustomer(id: string): void {
    this.customers.delete(id)
    this.#deleted.add(id)
    for (const each of this.subscriptionsOf(id)) this.endSubscription(each.id)
    this.#tell('customer.deleted', { id, object: 'customer' })
  }

  findCustomer(id: string): object | null {
    if (this.#deleted.has(id)) return { id, object: 'customer', deleted: true }
    const found = this.customers.get(id)
    return found === undefined ? null : { ...found, object: 'customer' }
  }

  makeSession(form: Form): object | null {
    const { trial_end, metadata } = formOf(form.subscription_data)
    const { price } = formOf(formOf(form.line_items)[0])
    const customer = String(form.customer)
    if (!this.customers.has(customer)) return null
    const id = idOf('cs')
    this.sessions.set(id, {
      id,
      customer,
      price: String(price),
      trialEnd: trial_end === undefined ? null : Number(trial_end),
      metadata: formOf(metadata),
      status: 'open',
    })
    return { id, object: 'checkout.session', customer, url: `https://checkout.stripe.test/${id}` }
  }

  openSessionsOf(customer: string): readonly Session[] {
    return [...this.sessions.values()].filter((each) => each.customer === customer && each.status === 'open')
  }

  /** @returns null when it cannot be paid for any more */
  expireSession(id: string): object | null {
    const found = this.sessions.get(id)
    if (found?.status !== 'open') return null
    found.status = 'expired'
    return found
  }

  makePortal(form: Form): object | null {
    const customer = String(form.customer)
    if (!this.customers.has(customer)) return null
    return {
      id: idOf('bps'),
      object: 'billing_portal.session',
      customer,
      url: `https://portal.stripe.test/${customer}`,
    }
  }

  subscriptionsOf(customer: string): readonly StripeSubscription[] {
    return [...this.subscriptions.values()].filter((each) => each.customer === customer)
  }

  invoicesOf({ customer, limit = '10', starting_after }: Form): object | null {
    const all = this.invoices.filter((each) => each.customer === customer).reverse()
    const start = all.findIndex(({ id }) => id === starting_after) + 1
    if (starting_after !== undefined && start === 0) return null
    const data = all.slice(start, start + Number(limit))
    return { object: 'list', url: '', has_more: start + data.length < all.length, data }
  }

  /** @returns the error of the card when that is refused */
  changeSubscription(id: string, form: Form): object | null {
    const found = this.subscriptions.get(id)
    const [item] = found?.items.data ?? []
    if (found === undefined || found.status === 'canceled' || item === undefined) return null
    const { price } = formOf(formOf(form.items)[0])
    if (typeof price === 'string' && price !== item.price.id) {
      if (this.declines) return new Error('Your card was declined.')
      item.price = { id: price }
      this.#invoice(found, 'paid')
    }
    if (form.trial_end === 'now') {
      found.trial_end = seconds()
      found.status = 'active'
    }
    if (form.cancel_at_period_end !== undefined) {
      found.cancel_at_period_end = form.cancel_at_period_end === 'true'
      found.cancel_at = found.cancel_at_period_end ? item.current_period_end : null
    }
    this.#tell('customer.subscription.updated', found)
    return found
  }

  endSubscription(id: string): object | null {
    const found = this.subscriptions.get(id)
    if (found === undefined || found.status === 'canceled') return null
    found.status = 'canceled'
    this.#tell('customer.subscription.deleted', found)
    return found
  }

  meter(form: Form): object {
    if (!this.metered.some(({ identifier }) => identifier === form.identifier)) this.metered.push(form)
    return { object: 'billing.meter_event', ...form }
  }

  /** Somebody pays on the page of a session. @param url what the application was given for it */
  pay(url: string): StripeSubscription {
    const session = this.sessions.get(url.split('/').at(-1) ?? '')
    if (session?.status !== 'open') throw new Error(`nothing can be paid for at ${url}`)
    session.status = 'complete'
    const { customer, price, trialEnd, metadata } = session
    const made: StripeSubscription = {
      id: idOf('sub'),
      object: 'subscription',
      customer,
      created: seconds(),
      status: trialEnd === null ? 'active' : 'trialing',
      cancel_at: null,
      cancel_at_period_end: false,
      trial_end: trialEnd,
      metadata,
      items: {
        object: 'list',
        data: [
          { id: idOf('si'), current_period_end: trialEnd ?? seconds() + MONTH_SECONDS, price: { id: price } },
        ],
      },
    }
    this.subscriptions.set(made.id, made)
    this.#tell('customer.subscription.created', made)
    if (trialEnd === null) this.#invoice(made, 'paid')
    this.#tell('checkout.session.completed', { id: session.id, object: 'checkout.session', customer })
    return made
  }

  /** A month has passed: the card is charged, or the subscription ends if it was cancelled. */
  renew(found: StripeSubscription): void {
    if (found.cancel_at_period_end) {
      this.endSubscription(found.id)
      return
    }
    found.status = this.declines ? 'past_due' : 'active'
    for (const item of found.items.data) item.current_period_end += MONTH_SECONDS
    this.#invoice(found, this.declines ? 'open' : 'paid')
    this.#tell('customer.subscription.updated', found)
  }

  /** What is owed is paid, on the page of the invoice. */
  settle(found: StripeSubscription): void {
    for (const invoice of this.invoices.filter(
      ({ customer, status }) => customer === found.customer && status === 'open',
    )) {
      invoice.status = 'paid'
      invoice.amount_paid = invoice.amount_due
      this.#tell('invoice.paid', invoice)
    }
    found.status = 'active'
    this.#tell('customer.subscription.updated', found)
  }

  #invoice({ customer }: StripeSubscription, status: 'open' | 'paid'): void {
    const id = idOf('in')
    const made: StripeInvoice = {
      id,
      object: 'invoice',
      customer,
      number: `Q-${this.invoices.length + 1}`,
      currency: 'usd',
      created: seconds(),
      amount_due: 7900,
      amount_paid: status === 'paid' ? 7900 : 0,
      status,
      due_date: null,
      hosted_invoice_url: `https://invoice.stripe.test/${id}`,
      invoice_pdf: `https://invoice.stripe.test/${id}/pdf`,
    }
    this.invoices.push(made)
    this.#tell(status === 'paid' ? 'invoice.paid' : 'invoice.payment_failed', made)
  }

  /** As it is at this moment; later changes are later events. */
  #tell(type: string, object: object): void {
    const data = { object: structuredClone(object) }
    this.events.push({ id: idOf('evt'), object: 'event', type, created: seconds(), data })
  }
}
