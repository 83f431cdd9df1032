import type { FastifyInstance, InjectOptions } from 'fastify'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly text: string
  readonly body: AnswerBody
}

type AnswerBody = Readonly<Record<string, unknown>> & {
  readonly items?: readonly Readonly<Record<string, unknown>>[]
}

/** Sends a request to the application without a socket. */
export async function send(app: FastifyInstance, options: InjectOptions): Promise<Answer> {
  const reply = await app.inject(options)
  return {
    status: reply.statusCode,
    type: String(reply.headers['content-type'] ?? ''),
    headers: reply.headers,
    text: reply.body,
    body: /[/+]json/.test(String(reply.headers['content-type'])) && reply.body !== '' ? reply.json() : {},
  }
}

interface Headed {
  readonly headers: Readonly<Record<string, string>>
}

/** Sends requests of somebody to the application as it is by then. */
export function sendingTo(app: () => FastifyInstance) {
  return (
    who: Headed,
    method: NonNullable<InjectOptions['method']>,
    url: string,
    payload?: object,
  ): Promise<Answer> => send(app(), { method, url, headers: who.headers, ...(payload && { payload }) })
}
