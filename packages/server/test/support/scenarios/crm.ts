import type { Scenario } from './scenario.ts'

/** Records from their creation to their deletion. */
export const records: Scenario = async ({ call, send }) => {
  const company = await call('POST', '/companies', { name: 'Šálek & Sons', industry: 'Pottery' })
  const contact = await call('POST', '/contacts', {
    first_name: 'Zoë',
    last_name: '株式会社 🚀',
    email: 'zoe@example.test',
    company_id: company.id,
  })
  await call('POST', '/contacts', {
    first_name: 'No',
    last_name: 'Company',
    email: 'no@example.test',
    company_id: contact.id,
  })
  await send('POST', '/companies', { name: '' })
  await send('POST', '/companies', { nonsense: true })
  const { items: stages } = await call('GET', '/stages')
  const deal = await call('POST', '/deals', {
    title: 'Cups',
    amount: '900719925474.09',
    contact_id: contact.id,
    stage_id: stages[0]?.id,
  })
  await send('PATCH', `/deals/${deal.id}`, { probability: 40, expected_close_date: '2026-02-28' })
  await send('GET', `/contacts/${contact.id}`)
  await send('GET', '/contacts?q=zoë')
  await send('DELETE', `/contacts/${contact.id}`)
  await send('DELETE', `/deals/${deal.id}`)
  await send('DELETE', `/contacts/${contact.id}`)
  await send('GET', `/contacts/${contact.id}`)
  await send('PATCH', `/contacts/${contact.id}`, { phone: '1' })
  await send('DELETE', `/companies/${company.id}`)
}

/** What belongs to contacts and deals, and what is counted of them. */
export const notesAndTags: Scenario = async ({ call, send }) => {
  const { id: company_id } = await call('POST', '/companies', { name: 'Noted' })
  const { id } = await call('POST', '/contacts', {
    first_name: 'A',
    last_name: 'B',
    email: 'a@example.test',
    company_id,
  })
  const note = await call('POST', `/contacts/${id}/notes`, { body: 'Called.' })
  await send('POST', `/contacts/${id}/notes`, { body: 'Called again.' })
  await send('PATCH', `/contacts/${id}/notes/${note.id}`, { body: 'Called twice.' })
  await send('GET', `/contacts/${id}/notes`)
  await send('DELETE', `/contacts/${id}/notes/${note.id}`)
  await send('DELETE', `/contacts/${id}/notes/${note.id}`)
  const tags = [await call('POST', '/tags', { name: 'Key' }), await call('POST', '/tags', { name: 'Lost' })]
  await send('POST', '/tags', { name: 'Key' })
  for (const tag of tags) await send('PUT', `/contacts/${id}/tags/${tag.id}`)
  await send('GET', `/contacts?tags=${tags[0]?.id},${tags[1]?.id}`)
  await send('DELETE', `/contacts/${id}/tags/${tags[1]?.id}`)
  await send('GET', `/contacts/${id}`)
  for (const tag of tags) await send('DELETE', `/tags/${tag.id}`)
  await send('DELETE', `/contacts/${id}`)
  await send('DELETE', `/companies/${company_id}`)
}

/** Many deals at once, stages, figures. */
export const pipeline: Scenario = async ({ call, send }) => {
  const { id: company_id } = await call('POST', '/companies', { name: 'Many' })
  const person = { first_name: 'M', last_name: 'M', email: 'm@example.test', company_id }
  const { id: contact_id } = await call('POST', '/contacts', person)
  const { items: stages } = await call('GET', '/stages')
  const deal_ids: string[] = []
  for (const amount of ['1.10', '2.20', '3.30']) {
    const deal = { title: `For ${amount}`, amount, contact_id, stage_id: stages[0]?.id }
    deal_ids.push((await call('POST', '/deals', deal)).id)
  }
  await send('POST', '/deals/bulk/stage', { deal_ids, stage_id: stages[1]?.id })
  await send('POST', '/deals/bulk/won', { deal_ids: deal_ids.slice(0, 1) })
  await send('POST', '/deals/bulk/lost', { deal_ids: [...deal_ids.slice(1, 2), contact_id] })
  await send('GET', '/crm/dashboard')
  await send('GET', '/deals?sort=amount&order=desc&limit=2')
  const stage = await call('POST', '/stages', { name: 'In between' })
  const first = [stage.id, ...stages.map((each) => each.id)]
  await send('PUT', '/stages/order', { stage_ids: first })
  await send('PUT', '/stages/order', { stage_ids: first.slice(1) })
  await send('DELETE', `/stages/${stages[1]?.id}`)
  await send('DELETE', `/stages/${stage.id}`)
  await send('PUT', '/stages/order', { stage_ids: first.slice(1) })
  for (const id of deal_ids) await send('DELETE', `/deals/${id}`)
  await send('DELETE', `/contacts/${contact_id}`)
  await send('DELETE', `/companies/${company_id}`)
}
