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
