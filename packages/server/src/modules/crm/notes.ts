import { sql } from 'kysely'
import { idParameters } from '../../api/common.ts'
import * as api from '../../api/crm.ts'
import { readPage } from '../../http/page.ts'
import { type Database, serveResource } from '../../http/resource.ts'
import { type Route, tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import { memberName, memberNameContains } from '../teams/index.ts'
import { remove } from './queries.ts'

/** Notes shown with their record. */
const NOTES_MAX = 100

const contactNoteColumns = [
  'id',
  'contact_id',
  'author_id',
  memberName('contact_notes.author_id').as('author'),
  'body',
  'created_at',
] as const
const dealNoteColumns = [
  'id',
  'deal_id',
  'author_id',
  memberName('deal_notes.author_id').as('author'),
  'body',
  'created_at',
] as const
const searched = [sql.ref('body')]

export const contactNotes = serveResource({
  name: 'contact-notes',
  item: api.contactNote,
  create: api.contactNoteCreate,
  change: api.contactNoteChange,
  list: api.noteList,
  sorts: { created_at: { column: 'contact_notes.created_at', order: 'desc' } },
  readPage: (db, request, search) => {
    let query = db.selectFrom('contact_notes').select(contactNoteColumns)
    if (search !== undefined)
      query = query.where((eb) =>
        eb.or([contains(searched, search), memberNameContains('contact_notes.author_id', search)]),
      )
    return readPage(db, query, 'contact_notes.id', request)
  },
  find: (db, id) =>
    db.selectFrom('contact_notes').select(contactNoteColumns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values) =>
    db.insertInto('contact_notes').values(values).returning(contactNoteColumns).executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('contact_notes')
      .set(change)
      .where('id', '=', id)
      .returning(contactNoteColumns)
      .executeTakeFirst(),
  remove: (db, id) => remove(db, 'contact_notes', id),
})

export const dealNotes = serveResource({
  name: 'deal-notes',
  item: api.dealNote,
  create: api.dealNoteCreate,
  change: api.dealNoteChange,
  list: api.noteList,
  sorts: { created_at: { column: 'deal_notes.created_at', order: 'desc' } },
  readPage: (db, request, search) => {
    let query = db.selectFrom('deal_notes').select(dealNoteColumns)
    if (search !== undefined)
      query = query.where((eb) =>
        eb.or([contains(searched, search), memberNameContains('deal_notes.author_id', search)]),
      )
    return readPage(db, query, 'deal_notes.id', request)
  },
  find: (db, id) =>
    db.selectFrom('deal_notes').select(dealNoteColumns).where('id', '=', id).executeTakeFirst(),
  insert: (db, values) =>
    db.insertInto('deal_notes').values(values).returning(dealNoteColumns).executeTakeFirstOrThrow(),
  update: (db, id, change) =>
    db
      .updateTable('deal_notes')
      .set(change)
      .where('id', '=', id)
      .returning(dealNoteColumns)
      .executeTakeFirst(),
  remove: (db, id) => remove(db, 'deal_notes', id),
})

/** The newest notes on one record, without paging. */
export const notesOf: readonly Route[] = [
  tenantRoute({
    method: 'GET',
    path: '/contacts/:id/notes',
    summary: 'The newest notes on a contact',
    access: 'viewer',
    params: idParameters,
    answers: { 200: api.notesOfContact },
    handle: async ({ db, params }) => ({ items: await readNotesOfContact(db, params.id) }),
  }),
  tenantRoute({
    method: 'GET',
    path: '/deals/:id/notes',
    summary: 'The newest notes on a deal',
    access: 'viewer',
    params: idParameters,
    answers: { 200: api.notesOfDeal },
    handle: async ({ db, params }) => ({ items: await readNotesOfDeal(db, params.id) }),
  }),
]

function readNotesOfContact(db: Database, id: string) {
  return db
    .selectFrom('contact_notes')
    .select(contactNoteColumns)
    .where('contact_id', '=', id)
    .orderBy('created_at', 'desc')
    .limit(NOTES_MAX)
    .execute()
}

function readNotesOfDeal(db: Database, id: string) {
  return db
    .selectFrom('deal_notes')
    .select(dealNoteColumns)
    .where('deal_id', '=', id)
    .orderBy('created_at', 'desc')
    .limit(NOTES_MAX)
    .execute()
}
