import { randomBytes } from 'node:crypto'
import { quoteQualified } from '../packages/tenancy/src/identifiers.ts'
import type { Who } from './ledger.ts'

/** One of the two tenants of every attack. */
export interface Party {
  readonly who: Who
  readonly slug: string
  /** uuid of the tenant. */
  readonly id: string
  /** Where its tables are. */
  readonly schema: string
  /** Stands in every text of its rows and nowhere else: whoever has read it has read a row. */
  readonly canary: string
  readonly ids: PartyIds
}

interface PartyIds {
  /** The same in both parties, where the target can have that. */
  readonly company: string
  readonly contact: string
  /** Known to the other party, used by this one only. */
  readonly ownCompany: string
  readonly ownContact: string
}

/** Values an attacker can guess: the first is one of the victim's, the second nobody's. */
export const guesses = {
  emails: ['known@example.test', 'absent@example.test'],
  industries: ['aerospace', 'astrology'],
} as const

const idOf = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`

/** An id that no row has. */
export const absentId = idOf(99)

export function createParty(
  who: Who,
  at: { slug: string; id: string; schema: string; idsCollide: boolean },
): Party {
  const offset = who === 'victim' ? 10 : 20
  const shared = at.idsCollide ? 0 : offset
  return {
    who,
    slug: at.slug,
    id: at.id,
    schema: at.schema,
    canary: `${who}-${randomBytes(8).toString('hex')}`,
    ids: {
      company: idOf(shared + 1),
      contact: idOf(shared + 2),
      ownCompany: idOf(offset + 3),
      ownContact: idOf(offset + 4),
    },
  }
}

/** Statements that give a party its rows, with their values. */
export function fixtureOf(party: Party, tenantColumn: boolean): { text: string; values: unknown[] }[] {
  const { ids, canary, who } = party
  const industry = who === 'victim' ? guesses.industries[0] : 'retail'
  const knownEmail = who === 'victim' ? guesses.emails[0] : 'attacker@example.test'
  const insert = (table: string, row: Readonly<Record<string, unknown>>) => {
    const columns = Object.keys(tenantColumn ? { ...row, tenant_id: party.id } : row)
    return {
      text: `insert into ${quoteQualified(party.schema, table)} (${columns.join(', ')})
             values (${columns.map((_, index) => `$${index + 1}`).join(', ')})`,
      values: [...Object.values(row), ...(tenantColumn ? [party.id] : [])],
    }
  }
  return [
    insert('company', { id: ids.company, name: `company of ${canary}`, industry }),
    insert('company', { id: ids.ownCompany, name: `own company of ${canary}`, industry }),
    insert('contact', { id: ids.contact, company_id: ids.company, email: `ceo@${canary}.test`, amount: 17 }),
    insert('contact', { id: ids.ownContact, company_id: ids.ownCompany, email: knownEmail, amount: 4242 }),
    insert('note', { contact_id: ids.contact, body: `note of ${canary}` }),
  ]
}

/** Tables of the application, the referencing ones first. */
export const tables = ['note', 'contact', 'company'] as const
