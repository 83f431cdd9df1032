/** What Stripe's client sends: `items[0][price]=p` is `{ items: { 0: { price: 'p' } } }`. */
export interface Form {
  readonly [name: string]: string | Form | undefined
}

export function readForm(text: string): Form {
  const form: Record<string, unknown> = {}
  for (const [name, value] of new URLSearchParams(text)) {
    const path = name.split(/[[\]]+/).filter((part) => part !== '')
    const last = path.pop() ?? ''
    let at = form
    for (const part of path) {
      const below = Object(at[part]) as Record<string, unknown>
      at[part] = below
      at = below
    }
    at[last] = value
  }
  return form as Form
}

export function formOf(value: string | Form | undefined): Form {
  return typeof value === 'object' ? value : {}
}
