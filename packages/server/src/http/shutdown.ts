import type { FastifyInstance } from 'fastify'
import { limits } from '../limits.ts'

/**
 * Ends the server: nobody new comes in, requests that are being answered are answered, and after `milliseconds` their
 * connections are ended.
 *
 * @param milliseconds @defaultValue 10000
 * @returns whether every request was answered
 */
export async function closeGracefully(
  app: FastifyInstance,
  milliseconds: number = limits.shutdownMs,
): Promise<boolean> {
  let answered = true
  const timer = setTimeout(() => {
    answered = false
    app.server.closeAllConnections()
  }, milliseconds)
  try {
    await app.close()
  } finally {
    clearTimeout(timer)
  }
  return answered
}
