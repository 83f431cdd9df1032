import type { Attack } from '../attack.ts'
import { namesOf, type OurGround } from '../ground.ts'
import { absentId, guesses } from '../party.ts'
import { everywhere } from '../raw-session.ts'

/** Row security; the check of a tenant's own tables; a schema that is not there, or not open. */
const wall = ['42501', '23514', '42P01', '3F000']

async function referenceForeignRow(ground: OurGround): Promise<void> {
  const { victim, ledger } = ground
  await everywhere(ground, async (door) => {
    for (const contact of namesOf(ground, 'contact')) {
      const probe = (id: string) =>
        door.try(
          ['23503', ...wall],
          `insert into ${contact} (company_id, email, amount) values ('${id}', 'x', 1)`,
        )
      const existing = await probe(victim.ids.ownCompany)
      ledger.compare('a foreign key', existing, await probe(absentId), [victim.ids.ownCompany, absentId])
    }
  })
}

export const oracleAttacks: readonly Attack[] = [
  {
    id: 'foreign-key-oracle',
    title: "a foreign key to the victim's id: its check ignores policies",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        const probe = (id: string, email: string) =>
          session.try(
            ['rows', '23503'],
            `insert into contact (company_id, email, amount) values ('${id}', '${email}', 1)`,
          )
        const { ownCompany } = ground.victim.ids
        ground.ledger.compare('a foreign key', await probe(ownCompany, 'a'), await probe(absentId, 'b'), [
          ownCompany,
          absentId,
        ])
      },
    },
    run: referenceForeignRow,
  },
  {
    id: 'unique-oracle',
    title: "a unique key as an oracle: does this e-mail exist among the victim's?",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        const probe = (email: string) =>
          session.try(
            ['rows', '23505'],
            `insert into contact (company_id, email, amount)
            values ('${ground.attacker.ids.company}', '${email}', 1)`,
          )
        ground.ledger.compare(
          'a unique key',
          await probe(guesses.emails[0]),
          await probe(guesses.emails[1]),
          guesses.emails,
        )
      },
    },
    run: (ground) =>
      everywhere(ground, async (door) => {
        const texts = [
          (email: string) =>
            `insert into contact (company_id, email, amount) values ('${ground.attacker.ids.company}', '${email}', 1)`,
          (email: string) =>
            `update contact set email = '${email}' where id = '${ground.attacker.ids.contact}'`,
          (
            email: string,
          ) => `insert into ${ground.victim.schema}.contact (company_id, email, amount, tenant_id)
            values ('${ground.victim.ids.company}', '${email}', 1, '${ground.victim.id}')`,
        ]
        for (const text of texts) {
          const [existing, missing] = guesses.emails
          const found = await door.try(['rows', ...wall], text(existing))
          ground.ledger.compare(
            'a unique key',
            found,
            await door.try(['rows', ...wall], text(missing)),
            guesses.emails,
          )
          await door.try(['rows'], `delete from contact where email in ('${existing}', '${missing}')`)
        }
      }),
  },
  {
    id: 'on-conflict-oracle',
    title: 'ON CONFLICT DO NOTHING and DO UPDATE as an oracle',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        const probe = (email: string) =>
          session.try(
            ['rows'],
            `insert into contact (company_id, email, amount)
            values ('${ground.attacker.ids.company}', '${email}', 1) on conflict do nothing`,
          )
        ground.ledger.compare(
          'ON CONFLICT',
          await probe(guesses.emails[0]),
          await probe(guesses.emails[1]),
          guesses.emails,
        )
      },
    },
    run: (ground) =>
      everywhere(ground, async (door) => {
        for (const action of ['do nothing', 'do update set amount = 2 returning amount']) {
          const target = action === 'do nothing' ? '' : '(tenant_id, email)'
          const probe = (email: string) =>
            door.try(
              ['rows'],
              `insert into contact (company_id, email, amount)
              values ('${ground.attacker.ids.ownCompany}', '${email}', 1) on conflict ${target} ${action}`,
            )
          ground.ledger.compare(
            'ON CONFLICT',
            await probe(guesses.emails[0]),
            await probe(guesses.emails[1]),
            guesses.emails,
          )
          await door.try(['rows'], `delete from contact where email in ('${guesses.emails.join("', '")}')`)
        }
      }),
  },
]
