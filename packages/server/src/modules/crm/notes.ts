import { type RawBuilder, sql } from 'kysely'
import type { z } from 'zod'
import { idParameters, type ListQuery, noteParameters, pageOf } from '../../api/common.ts'
import * as api from '../../api/crm.ts'
import { chooseAuthor } from '../../http/authorship.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import {
  changing,
  type Database,
  found,
  listResource,
  missing,
  type ResourceOptions,
} from '../../http/resource.ts'
import { type InTenant, type Route, tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import { memberNameContains } from '../teams/index.ts'
import * as statements from './note-statements.ts'

interface ServedKind<Note> extends statements.NoteKind {
  /** The path of all of them: `contact-notes`. */
  readonly name: string
  /** What one of them is about, in words: `a contact`. */
  readonly about: string
  readonly item: z.ZodType<Note>
}

const ofContacts: ServedKind<z.output<typeof api.contactNote>> = {
  name: 'contact-notes',
  table: 'contact_notes',
  parents: 'contacts',
  owner: 'contact_id',
  about: 'a contact',
  item: api.contactNote,
}
const ofDeals: ServedKind<z.output<typeof api.dealNote>> = {
  name: 'deal-notes',
  table: 'deal_notes',
  parents: 'deals',
  owner: 'deal_id',
  about: 'a deal',
  item: api.dealNote,
}

/** Notes below their contact or deal, and lists of all of them. */
export function noteRoutes({ cursors }: ResourceOptions): readonly Route[] {
  return [...serveNotes(ofContacts, cursors), ...serveNotes(ofDeals, cursors)]
}

function serveNotes<Note extends { readonly id: string }>(
  kind: ServedKind<Note>,
  cursors: ResourceOptions['cursors'],
): readonly Route[] {
  const { name, parents, about, item } = kind
  const many = `/${parents}/:id/notes`
  const list = {
    method: 'GET',
    access: 'viewer',
    query: api.noteList,
    answers: { 200: pageOf(item) },
  } as const
  return [
    tenantRoute({
      ...list,
      path: `/${name}`,
      summary: `A page of all notes on ${parents}`,
      handle: (input) => listNotes(kind, cursors, input),
    }),
    tenantRoute({
      ...list,
      path: many,
      summary: `A page of the notes on ${about}`,
      params: idParameters,
      handle: async (input) => {
        const page = await listNotes(kind, cursors, input, input.params.id)
        if (page.items.length === 0) await assertParent(input.db, kind, input.params.id)
        return page
      },
    }),
    tenantRoute({
      method: 'POST',
      path: many,
      summary: `Notes something on ${about}`,
      access: 'member',
      params: idParameters,
      body: api.noteCreate,
      answers: { 201: item },
      handle: (input) => createNote(kind, input),
    }),
    ...serveOneNote(kind),
  ]
}

function serveOneNote<Note extends { readonly id: string }>(kind: ServedKind<Note>): readonly Route[] {
  const { name, parents, about, item } = kind
  const one = { path: `/${parents}/:id/notes/:note_id`, params: noteParameters } as const
  const find = (db: Database, { id, note_id }: { id: string; note_id: string }) =>
    statements.findNote<Note>(db, kind, note_id, id)
  const change = <T>(input: InTenant<{ id: string; note_id: string }>, work: (db: Database) => Promise<T>) =>
    input.request.headers['if-match'] === undefined
      ? input.inTransaction(work)
      : changing({ name, item, find: (db) => find(db, input.params) }, input, work)
  return [
    tenantRoute({
      ...one,
      method: 'GET',
      summary: `Shows a note on ${about}`,
      access: 'viewer',
      answers: { 200: item },
      handle: async ({ db, params }) => found(name, await find(db, params)),
    }),
    tenantRoute({
      ...one,
      method: 'PATCH',
      summary: `Changes a note on ${about}`,
      access: 'member',
      body: api.noteChange,
      answers: { 200: item },
      handle: (input) => {
        const { id: parent, note_id: id } = input.params
        return change(input, async (db) =>
          found(name, await statements.updateNote<Note>(db, kind, { id, parent, ...input.body })),
        )
      },
    }),
    tenantRoute({
      ...one,
      method: 'DELETE',
      summary: `Deletes a note on ${about}`,
      access: 'member',
      answers: { 204: null },
      handle: (input) =>
        change(input, async (db) => {
          if (!(await statements.removeNote(db, kind, input.params.note_id, input.params.id)))
            throw missing(name)
        }),
    }),
  ]
}

async function createNote<Note extends { readonly id: string }>(
  kind: ServedKind<Note>,
  input: InTenant<{ id: string }, unknown, z.output<typeof api.noteCreate>>,
): Promise<Note> {
  const { db, params, body, request, reply } = input
  const author = chooseAuthor(input, body.author_id, 'author_id')
  const created = found(
    kind.parents,
    await statements.insertNote<Note>(db, kind, { parent: params.id, author, body: body.body }),
  )
  reply.header('location', `${request.url.split('?', 1)[0]}/${created.id}`)
  return created
}

/** @param parent the record whose notes are wanted; all notes without it */
function listNotes<Note extends { readonly id: string }>(
  kind: ServedKind<Note>,
  cursors: ResourceOptions['cursors'],
  input: InTenant<unknown, ListQuery>,
  parent?: string,
) {
  const { table, owner } = kind
  const column = `${table}.created_at`
  const resource = {
    // A cursor is good for the notes of the same record only.
    name: parent === undefined ? kind.name : `${kind.name} ${parent}`,
    sorts: { created_at: { column, order: 'desc' } },
    readPage: (db: Database, request: PageRequest, search: string | undefined) => {
      let query = db.selectFrom(table).select(statements.noteColumns(kind))
      if (parent !== undefined) query = query.where(sql<boolean>`${sql.ref(owner)} = ${parent}`)
      if (search !== undefined) query = query.where(matches(kind, search))
      return readPage(db, query.$castTo<Note>(), `${table}.id`, request)
    },
  } as const
  return listResource<Note, ListQuery>(resource, cursors, input)
}

function matches({ table }: statements.NoteKind, search: string): RawBuilder<boolean> {
  return sql`(${contains([sql.ref('body')], search)} or ${memberNameContains(`${table}.author_id`, search)})`
}

async function assertParent(db: Database, { parents }: statements.NoteKind, id: string): Promise<void> {
  found(parents, await db.selectFrom(parents).select('id').where('id', '=', id).executeTakeFirst())
}
