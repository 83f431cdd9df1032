import type { Attack } from '../attack.ts'
import { namesOf, type OurGround } from '../ground.ts'
import { absentId } from '../party.ts'
import { everywhere } from '../raw-session.ts'

/** Row security; the check of a tenant's own tables; a schema that is not there, or not open. */
const wall = ['42501', '23514', '42P01', '3F000']

async function insertForVictim(ground: OurGround): Promise<void> {
  const { victim } = ground
  await everywhere(ground, async (door) => {
    for (const company of namesOf(ground, 'company')) {
      await door.try(wall, `insert into ${company} (name, tenant_id) values ('planted', '${victim.id}')`)
      await door.try(
        wall,
        `insert into ${company} (name, tenant_id) select 'planted', '${victim.id}' from generate_series(1, 3)`,
      )
      await door.try(
        [...wall, '42804'],
        `merge into ${company} using (values ('planted')) as v (name) on false
           when not matched then insert (name, tenant_id) values (v.name, '${victim.id}')`,
      )
    }
  })
}

async function giveToVictim(ground: OurGround): Promise<void> {
  const { victim } = ground
  await everywhere(ground, async (door) => {
    for (const note of namesOf(ground, 'note')) {
      await door.try([...wall, 'rows'], `update ${note} set tenant_id = '${victim.id}'`)
      await door.try(
        [...wall, 'rows', '23505'],
        `insert into ${note} (body) values ('own') on conflict (tenant_id, id) do update set tenant_id = '${victim.id}'`,
      )
    }
    await door.try(wall, `update company set tenant_id = '${victim.id}'`)
  })
}

async function writeById(ground: OurGround): Promise<void> {
  const { victim } = ground
  const ids = [victim.ids.contact, victim.ids.ownContact]
  await everywhere(ground, async (door) => {
    for (const contact of namesOf(ground, 'contact')) {
      for (const id of ids) {
        await door.try(['rows', ...wall], `update ${contact} set amount = 0 where id = $1 returning *`, [id])
        await door.try(['rows', ...wall], `select * from ${contact} where id = $1 for update`, [id])
        await door.try(
          ['rows', ...wall],
          `merge into ${contact} as c using (values ($1::uuid)) as v (id) on c.id = v.id
             when matched then update set amount = 0`,
          [id],
        )
        await door.try(['rows', ...wall], `delete from ${contact} where id = $1 returning *`, [id])
      }
    }
  })
}

async function deleteBelow(ground: OurGround): Promise<void> {
  const { attacker, victim } = ground
  // The victim has been talked into using an id of the attacker's.
  await ground
    .api('victim')
    .try(
      ['23503'],
      `insert into contact (company_id, email, amount) values ('${attacker.ids.ownCompany}', 'y', 1)`,
    )
  await everywhere(ground, async (door) => {
    for (const id of [attacker.ids.ownCompany, victim.ids.company]) {
      await door.try(['rows'], `delete from company where id = '${id}'`)
    }
    await door.try(['rows', ...wall], `delete from ${victim.schema}.company`)
    await door.try(['rows'], 'delete from contact')
  })
}

async function setDefaultAcross(ground: OurGround): Promise<void> {
  await everywhere(ground, async (door) => {
    await door.try(
      ['rows'],
      `insert into contact (id, company_id, email, amount)
      select '${absentId}', id, 'z', 1 from company limit 1 on conflict do nothing`,
    )
    await door.try(['rows'], `insert into note (contact_id, body) values ('${absentId}', 'planted')`)
    await door.try(['rows'], `delete from contact where id = '${absentId}'`)
    await door.try(['rows'], `delete from note where body = 'planted'`)
  })
}

async function truncateForeign(ground: OurGround): Promise<void> {
  await everywhere(ground, async (door) => {
    for (const table of [...namesOf(ground, 'note'), ...namesOf(ground, 'company')]) {
      await door.try([...wall, 'STATEMENT_REFUSED'], `truncate ${table} cascade`)
    }
    await door.try(['42501', 'STATEMENT_REFUSED', '42P01'], `drop table ${ground.victim.schema}.note`)
  })
}

async function writeIntoForeignSchema(ground: OurGround): Promise<void> {
  const { schema } = ground.installation.arenas.schema.victim
  const session = await ground.raw()
  await session.try(
    wall,
    `insert into ${schema}.company (name, tenant_id) values ('planted', '${ground.attacker.id}')`,
  )
  await session.try(wall, `insert into ${schema}.company (name) values ('planted')`)
  await session.try([...wall, 'rows'], `update ${schema}.company set tenant_id = '${ground.attacker.id}'`)
}

export const writeAttacks: readonly Attack[] = [
  {
    id: 'insert-for-victim',
    title: "INSERT and MERGE with the victim's tenant_id",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(
          ['rows'],
          `insert into note (body, tenant_id) values ('planted', '${ground.victim.id}')`,
        )
      },
    },
    run: insertForVictim,
  },
  {
    id: 'update-tenant-id',
    title: "UPDATE of one's own row to the victim's tenant_id",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(
          ['rows'],
          `update note set tenant_id = '${ground.victim.id}' where tenant_id = '${ground.attacker.id}'`,
        )
      },
    },
    run: giveToVictim,
  },
  {
    id: 'write-by-id',
    title: "UPDATE, DELETE, MERGE, FOR UPDATE by an id that is also, or only, the victim's",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(
          ['rows'],
          `delete from note where contact_id = '${ground.victim.ids.contact}' returning *`,
        )
      },
    },
    run: writeById,
  },
  {
    id: 'cascade-across',
    title: "ON DELETE CASCADE from the attacker's row to a row of the victim's",
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const { ownCompany } = ground.attacker.ids
        const victim = ground.request('victim', 'session')
        await victim.try(
          ['rows'],
          `insert into contact (company_id, email, amount) values ('${ownCompany}', 'y', 1)`,
        )
        await ground.rebase()
        const session = await ground.raw()
        await session.try(['rows'], `delete from company where id = '${ownCompany}'`)
      },
    },
    run: deleteBelow,
  },
  {
    id: 'set-default-across',
    title: 'ON DELETE SET DEFAULT, run as the owner, sets the tenant too',
    naive: {
      design: 'default-tenant',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], `delete from contact where id = '${ground.attacker.ids.contact}'`)
      },
    },
    run: setDefaultAcross,
  },
  {
    id: 'truncate',
    title: 'TRUNCATE and DROP, which no policy sees',
    naive: {
      design: 'shared-tables',
      run: async (ground) => {
        const session = await ground.raw()
        await session.try(['rows'], 'truncate company cascade')
      },
    },
    run: truncateForeign,
  },
  {
    id: 'write-into-foreign-schema',
    title: "rows of one's own, written into the victim's tables",
    naive: { without: 'own-check', strategy: 'schema', run: writeIntoForeignSchema },
    run: writeIntoForeignSchema,
  },
]
