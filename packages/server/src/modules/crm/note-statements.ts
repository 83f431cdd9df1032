import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../http/route.ts'
import { memberName } from '../teams/index.ts'

/** A kind of note: its table, and what it is on. */
export interface NoteKind {
  readonly table: 'contact_notes' | 'deal_notes'
  readonly parents: 'contacts' | 'deals'
  /** The column that names the parent. */
  readonly owner: 'contact_id' | 'deal_id'
}

/** What a new note says, and on what. */
export interface NewNote {
  readonly parent: string
  readonly author: string
  readonly body: string
}

/** The columns of a note, as the API has them. */
export function noteColumns({ table, owner }: NoteKind) {
  return [
    'id',
    sql<string>`${sql.ref(`${table}.${owner}`)}`.as(owner),
    'author_id',
    memberName(`${table}.author_id`).as('author'),
    'body',
    'created_at',
  ] as const
}

const returned = ({ table, owner }: NoteKind): RawBuilder<unknown> =>
  sql`id, ${sql.ref(owner)}, author_id, ${memberName(`${table}.author_id`)} as author, body, created_at`

/**
 * Inserts a note; a contact was contacted when its newest note was made.
 *
 * @returns undefined when there is no such parent
 */
export async function insertNote<Note>(
  db: Database,
  kind: NoteKind,
  { parent, author, body }: NewNote,
): Promise<Note | undefined> {
  const { table, parents, owner } = kind
  const touched = sql`, touched as (
    update contacts set last_contacted_at = greatest(contacts.last_contacted_at, noted.created_at)
      from noted where contacts.id = noted.contact_id)`
  const { rows } = await sql<Note>`with noted as (
      insert into ${sql.table(table)} (${sql.ref(owner)}, author_id, body)
      select id, ${author}::uuid, ${body}::text from ${sql.table(parents)} where id = ${parent} returning *
    )${table === 'contact_notes' ? touched : sql``}
    select ${returned(kind)} from noted as ${sql.table(table)}`.execute(db)
  return rows[0]
}

/** @param parent only if it is on this one, when given */
export function findNote<Note>(db: Database, kind: NoteKind, id: string, parent?: string) {
  return db
    .selectFrom(kind.table)
    .select(noteColumns(kind))
    .where(isNote(kind, id, parent))
    .$castTo<Note>()
    .executeTakeFirst()
}

export function updateNote<Note>(
  db: Database,
  kind: NoteKind,
  { id, parent, body }: { readonly id: string; readonly parent?: string | undefined; readonly body: string },
) {
  return db
    .updateTable(kind.table)
    .set({ body })
    .where(isNote(kind, id, parent))
    .returning(noteColumns(kind))
    .$castTo<Note>()
    .executeTakeFirst()
}

/**
 * Deletes a note. That of a contact under the contact's lock, which insertions take too: what is read after it to find
 * the newest note that is left is all there is.
 *
 * @returns whether there was such a note
 */
export async function removeNote(
  db: Database,
  kind: NoteKind,
  id: string,
  parent?: string,
): Promise<boolean> {
  if (kind.table === 'contact_notes') {
    await sql`select contacts.id from contacts where contacts.id =
      (select contact_id from contact_notes where id = ${id}) for no key update`.execute(db)
  }
  const { rows } = await sql<{ parent: string }>`delete from ${sql.table(kind.table)}
    where ${isNote(kind, id, parent)} returning ${sql.ref(kind.owner)} as parent`.execute(db)
  const [gone] = rows
  if (gone === undefined) return false
  if (kind.table === 'contact_notes') {
    await sql`update contacts set last_contacted_at =
      (select max(created_at) from contact_notes where contact_id = contacts.id)
      where id = ${gone.parent}`.execute(db)
  }
  return true
}

function isNote({ table, owner }: NoteKind, id: string, parent?: string): RawBuilder<boolean> {
  const one = sql<boolean>`${sql.ref(`${table}.id`)} = ${id}`
  return parent === undefined ? one : sql<boolean>`(${one} and ${sql.ref(`${table}.${owner}`)} = ${parent})`
}
