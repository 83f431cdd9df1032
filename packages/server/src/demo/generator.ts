import type { NewMember } from '@quickscale/tenancy'
import type { Insertable } from 'kysely'
import type { PostTable } from '../modules/blog/index.ts'
import type { CompanyTable, ContactTable, DealTable } from '../modules/crm/index.ts'
import { createRandom, type Random } from './random.ts'
import * as words from './words.ts'

/** How much data a demo tenant gets. */
export interface DataSize {
  readonly companies: number
  readonly contacts: number
  readonly deals: number
  readonly posts: number
}

export interface DemoData {
  readonly members: readonly NewMember[]
  readonly companies: readonly (Insertable<CompanyTable> & { id: string })[]
  readonly contacts: readonly (Insertable<ContactTable> & { id: string })[]
  readonly deals: readonly (Insertable<DealTable> & { id: string })[]
  readonly posts: readonly (Insertable<PostTable> & { id: string; published_date: Date | null })[]
}

/** The demo's last day: a constant, so that every machine generates the same rows. */
const LAST_DAY = Date.UTC(2025, 11, 31)
const DAY_MS = 86_400_000

/**
 * Makes believable records of fictional companies and people; the same seed makes the same records.
 *
 * @param stageIds ids of the tenant's stages in their order, at least one
 */
export function generateData(seed: string, size: DataSize, stageIds: readonly string[]): DemoData {
  const random = createRandom(seed)
  const members = repeat(4, (index) => generateMember(random, seed, index))
  const companies = repeat(size.companies, () => generateCompany(random))
  const contacts = repeat(size.contacts, () => generateContact(random, random.pick(companies)))
  return {
    members,
    companies,
    contacts,
    deals: repeat(size.deals, () =>
      generateDeal(random, random.pick(contacts), stageIds, random.pick(members).userId),
    ),
    posts: repeat(size.posts, (index) => generatePost(random, index, random.pick(members).userId)),
  }
}

function generateMember(random: Random, seed: string, index: number): NewMember {
  const first = random.pick(words.givenNames)
  const last = random.pick(words.familyNames)
  return {
    userId: random.uuid(),
    name: `${first} ${last}`,
    email: `${first}.${last}@${seed}.example`.toLowerCase(),
    role: index === 0 ? 'owner' : 'member',
  }
}

function generateCompany(random: Random) {
  const [industry, ...kinds] = random.pick(words.industries)
  const first = random.pick(words.companyFirst)
  const second = random.pick(words.companySecond)
  return {
    id: random.uuid(),
    name: `${first} ${second} ${random.pick(kinds)}`,
    website: random.chance(0.8) ? `https://${first}-${second}.example`.toLowerCase() : null,
    industry: random.chance(0.9) ? industry : null,
    created_at: momentBefore(random, 900),
  }
}

function generateContact(random: Random, company: { readonly id: string; readonly name: string }) {
  const first = random.pick(words.givenNames)
  const last = random.pick(words.familyNames)
  const domain = company.name.split(' ', 2).join('-')
  return {
    id: random.uuid(),
    first_name: first,
    last_name: last,
    email: `${first}.${last}@${domain}.example`.toLowerCase(),
    company_id: company.id,
    created_at: momentBefore(random, 700),
  }
}

function generateDeal(
  random: Random,
  contact: { readonly id: string; readonly last_name: string },
  stageIds: readonly string[],
  ownerId: string,
) {
  return {
    id: random.uuid(),
    title: `${random.pick(words.dealKinds)} for ${contact.last_name}`,
    // Small deals are many, large ones few; one in ten is not estimated yet.
    amount: random.chance(0.9) ? (250 + 90_000 * random.next() ** 3).toFixed(2) : null,
    contact_id: contact.id,
    stage_id: random.pick(stageIds),
    owner_id: ownerId,
    created_at: momentBefore(random, 400),
  }
}

function generatePost(random: Random, index: number, authorId: string) {
  const title = `${random.pick(words.postOpenings)} ${random.pick(words.postSubjects)}`
  const created = momentBefore(random, 500)
  return {
    id: random.uuid(),
    title,
    slug: `${title.toLowerCase().replaceAll(' ', '-')}-${index + 1}`,
    content: repeat(6, () => random.pick(words.postSentences)).join(' '),
    author_id: authorId,
    published_date: random.chance(0.85) ? new Date(created.getTime() + random.below(20) * DAY_MS) : null,
    created_at: created,
  }
}

function momentBefore(random: Random, daysMax: number): Date {
  return new Date(LAST_DAY - Math.floor(random.next() * daysMax * DAY_MS))
}

function repeat<Item>(count: number, make: (index: number) => Item): Item[] {
  return Array.from({ length: count }, (_, index) => make(index))
}
