/** An answer as it came over the wire. */
export interface Heard {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** A caller of one tenant, over a socket. */
export interface HttpClient {
  /** What was asked and answered, in order, without what differs from one run to the next. */
  readonly transcript: string[]
  send(
    method: string,
    path: string,
    payload?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Heard>
  /** The same, and the answer's JSON. */
  call(
    method: string,
    path: string,
    payload?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Body>
}

export interface Body {
  readonly [name: string]: unknown
  readonly id: string
  readonly items: readonly { readonly [name: string]: unknown; readonly id: string }[]
  readonly next: string
}

/** A client of the tenant behind `base`: `http://127.0.0.1:3000/t/acme`. */
export function createHttpClient(base: string, credentials: Readonly<Record<string, string>>): HttpClient {
  const transcript: string[] = []
  const normalise = createNormaliser(base)
  const send: HttpClient['send'] = async (method, path, payload, headers = {}) => {
    const binary = Buffer.isBuffer(payload)
    const answer = await fetch(path.startsWith('http') ? path : base + path, {
      method,
      headers: {
        ...credentials,
        ...(payload !== undefined && !binary && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(payload !== undefined && { body: binary ? new Uint8Array(payload) : JSON.stringify(payload) }),
    })
    const text = await answer.text()
    transcript.push(
      normalise(
        [
          `${method} ${path}`,
          answer.status,
          answer.headers.get('location'),
          answer.headers.get('content-type'),
          text,
        ].join(' | '),
      ),
    )
    return { status: answer.status, headers: answer.headers, text }
  }
  return {
    transcript,
    send,
    call: async (...asked) => {
      const { text } = await send(...asked)
      return text === '' ? {} : JSON.parse(text)
    },
  }
}

/** Gives ids their number by first appearance; moments, cursors and the tenant's address one word each. */
function createNormaliser(base: string): (text: string) => string {
  const ids = new Map<string, string>()
  const nameOf = (id: string) => {
    const name = ids.get(id) ?? `id ${ids.size + 1}`
    ids.set(id, name)
    return name
  }
  const { pathname } = new URL(base)
  const slug = pathname.slice(pathname.lastIndexOf('/') + 1)
  return (text) =>
    text
      .replaceAll(base, '<tenant>')
      .replaceAll(pathname, '<tenant>')
      .replaceAll(slug, '<slug>')
      .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, nameOf)
      .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, '<moment>')
      .replaceAll(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, '<moment>')
      .replaceAll(/("next":|cursor=)"?[\w-]{20,}"?/g, '$1<cursor>')
}
