import { randomUUID } from 'node:crypto'
import type { Scenario } from './scenario.ts'

/** A repeated request, and one that wants what nobody has changed. */
export const repetition: Scenario = async ({ call, send, transcript }) => {
  const once = { 'idempotency-key': randomUUID() }
  const { id } = await call('POST', '/companies', { name: 'Once' }, once)
  await send('POST', '/companies', { name: 'Once' }, once)
  await send('POST', '/companies', { name: 'Twice' }, once)
  await send('GET', '/companies?q=once')
  const { headers } = await send('GET', `/companies/${id}`)
  const etag = String(headers.get('etag'))
  const same = await send('GET', `/companies/${id}`, undefined, { 'if-none-match': etag })
  await send('PATCH', `/companies/${id}`, { industry: 'Any' }, { 'if-match': etag })
  await send('PATCH', `/companies/${id}`, { industry: 'Other' }, { 'if-match': etag })
  await send('DELETE', `/companies/${id}`, undefined, { 'if-match': etag })
  await send('DELETE', `/companies/${id}`)
  transcript.push(`unchanged: ${same.status}`)
}

/** Pages, by cursors that are good for their list only. */
export const pages: Scenario = async ({ call, send }) => {
  const ids: string[] = []
  for (const name of ['A', 'B', 'C', 'D', 'E']) ids.push((await call('POST', '/companies', { name })).id)
  let next = ''
  for (const _page of [1, 2, 3]) {
    const page = await call('GET', `/companies?sort=name&limit=2${next === '' ? '' : `&cursor=${next}`}`)
    next = page.next ?? next
  }
  await send('GET', `/companies?sort=created_at&limit=2&cursor=${next}`)
  for (const id of ids) await send('DELETE', `/companies/${id}`)
}

/** What is refused, whatever the tenant's place. */
export const refusals: Scenario = async ({ send }) => {
  await send('GET', '/companies', undefined, { authorization: 'Bearer qs_forged' })
  await send('GET', '/companies/not-an-id')
  await send('GET', `/companies/${'0'.repeat(8)}-0000-4000-8000-000000000000`)
  await send('GET', '/companies?limit=0')
  await send('GET', '/companies?cursor=forged')
  await send('GET', '/companies', undefined, { 'x-tenant': 'another' })
  await send('GET', '/members')
  await send('GET', '/nowhere')
}
