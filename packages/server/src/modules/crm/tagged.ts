import { type RawBuilder, sql } from 'kysely'

/** What has tags, the table that links it to them, and the column there. */
const links = {
  contacts: ['contact_tags', 'contact_id'],
  deals: ['deal_tags', 'deal_id'],
} as const

type Tagged = keyof typeof links

/** The names of a row's tags, in their order. */
export function tagNames(tagged: Tagged): RawBuilder<string[]> {
  const [table, owner] = links[tagged]
  return sql`(select coalesce(array_agg(tags.name order by tags.name), '{}') from ${sql.table(table)} as link
    join tags on tags.id = link.tag_id where ${sql.ref(`link.${owner}`)} = ${sql.ref(`${tagged}.id`)})`
}

/** The same of a row that has just been made. */
export const noTagNames = sql<string[]>`'{}'::text[]`

/** Whether a row has all of the tags. */
export function hasTags(tagged: Tagged, ids: readonly string[]): RawBuilder<boolean> {
  const [table, owner] = links[tagged]
  return sql`${sql.ref(`${tagged}.id`)} in (select ${sql.ref(`link.${owner}`)} from ${sql.table(table)} as link
    where link.tag_id = any(${[...ids]}::uuid[]) group by ${sql.ref(`link.${owner}`)}
    having count(*) = ${new Set(ids).size})`
}
