import { Pool } from 'undici'
import type { HttpStage } from './stage.ts'

export type RouteName = 'GET contacts' | 'POST contact'
export const routeNames: readonly RouteName[] = ['GET contacts', 'POST contact']

/** Sends requests to one of the two servers over connections that stay open. */
export interface HttpClient {
  /** @throws Error for any answer but the one that was asked for */
  ask(route: RouteName, slug: string): Promise<void>
  close(): Promise<void>
}

export function openClient(
  { headers, companyId }: Pick<HttpStage, 'headers' | 'companyId'>,
  port: number,
  connections: number,
): HttpClient {
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1 })
  const contact = JSON.stringify({
    first_name: 'New',
    last_name: 'Person',
    email: 'new@bench.example',
    company_id: companyId,
  })
  const json = { ...headers, 'content-type': 'application/json' }
  return {
    async ask(route, slug) {
      const path = `/t/${slug}/contacts`
      const [wanted, answer] =
        route === 'GET contacts'
          ? [200, await pool.request({ path, method: 'GET', headers })]
          : [201, await pool.request({ path, method: 'POST', headers: json, body: contact })]
      const text = await answer.body.text()
      if (answer.statusCode !== wanted) throw new Error(`${route} was answered ${answer.statusCode}: ${text}`)
    },
    close: () => pool.close(),
  }
}
