import type { Tenancy } from '@quickscale/tenancy'
import type { TenantTables } from '@quickscale/tenancy/fastify'

/** The same ids in both tenants: what keeps them apart must be the tenant, never a lucky id. */
export const ids = {
  company: '00000000-0000-4000-8000-000000000001',
  contact: '00000000-0000-4000-8000-000000000002',
  deal: '00000000-0000-4000-8000-000000000003',
  post: '00000000-0000-4000-8000-000000000004',
  member: '00000000-0000-4000-8000-000000000005',
} as const

/** Fills both tenants with colliding ids and texts that name their tenant. */
export async function fillTenants(tenancy: Tenancy<TenantTables>): Promise<void> {
  for (const slug of ['one', 'two'])
    await tenancy.members.put(slug, { userId: ids.member, name: `Ann of ${slug}`, role: 'owner' })
  await tenancy.members.deliver()
  for (const slug of ['one', 'two']) {
    const db = tenancy.tenant(slug).kysely
    await db
      .insertInto('companies')
      .values({ id: ids.company, name: `Company of ${slug}` })
      .execute()
    await db
      .insertInto('contacts')
      .values({
        id: ids.contact,
        first_name: 'Same',
        last_name: slug,
        email: `same@${slug}.example`,
        company_id: ids.company,
      })
      .execute()
    const { id: stage_id } = await db
      .selectFrom('stages')
      .select('id')
      .orderBy('position')
      .executeTakeFirstOrThrow()
    await db
      .insertInto('deals')
      .values({
        id: ids.deal,
        title: `Deal of ${slug}`,
        contact_id: ids.contact,
        stage_id,
        owner_id: ids.member,
      })
      .execute()
    await db
      .insertInto('posts')
      .values({
        id: ids.post,
        title: `Post of ${slug}`,
        slug: 'hello',
        content: 'Hello',
        author_id: ids.member,
      })
      .execute()
  }
}
