import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../http/resource.ts'
import { contains } from '../../http/search.ts'

/** Columns that refer to a member. */
type MemberColumn = 'deals.owner_id' | 'contact_notes.author_id' | 'deal_notes.author_id' | 'posts.author_id'

/** Members shown without paging. */
const MEMBERS_MAX = 1_000

/** The name of the member that a column refers to; null without one. Serves SELECT and RETURNING alike. */
export function memberName(column: MemberColumn): RawBuilder<string | null> {
  return sql`(select member.name from member where member.user_id = ${sql.ref(column)})`
}

/** Whether the name of that member contains a text. */
export function memberNameContains(column: MemberColumn, text: string): RawBuilder<boolean> {
  return sql`${sql.ref(column)} in (select user_id from member where ${contains([sql.ref('member.name')], text)})`
}

export function readMembers(db: Database) {
  return db
    .selectFrom('member')
    .select(['user_id', 'name', 'email', 'role', 'active'])
    .orderBy('name')
    .orderBy('user_id')
    .limit(MEMBERS_MAX)
    .execute()
}
