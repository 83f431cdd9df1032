import { Readable } from 'node:stream'
import { sql } from 'kysely'
import * as api from '../../api/audit.ts'
import { type PageRequest, readPage } from '../../http/page.ts'
import { type Database, listResource } from '../../http/resource.ts'
import { type InTenant, type Route, tenantRoute } from '../../http/route.ts'
import { contains } from '../../http/search.ts'
import { limits } from '../../limits.ts'
import type { Services } from '../module.ts'

const columns = [
  'id',
  'at',
  'actor',
  'credential',
  'impersonator',
  'action',
  'entity',
  'request_id',
  'outcome',
  'code',
] as const
const searched = ['actor', 'impersonator', 'action', 'entity'] as const

const auditLog = {
  name: 'audit-log',
  sorts: { at: { column: 'audit_log.at', order: 'desc' } },
  readPage: (db: Database, request: PageRequest, search: string | undefined) => {
    const lines = db.selectFrom('audit_log').select(columns)
    const found =
      search === undefined
        ? lines
        : lines.where(
            contains(
              searched.map((each) => sql.ref(each)),
              search,
            ),
          )
    return readPage(db, found, 'audit_log.id', request)
  },
} as const

const formats = {
  csv: { type: 'text/csv; charset=utf-8', begin: `${columns.join(',')}\n`, write: writeCsv },
  ndjson: { type: 'application/x-ndjson', begin: '', write: (line: object) => `${JSON.stringify(line)}\n` },
} as const

/** Who did what in the tenant: by page, and as a whole. */
export function auditRoutes({ cursors }: Pick<Services, 'cursors'>): readonly Route[] {
  return [
    tenantRoute({
      method: 'GET',
      path: '/audit-log',
      summary: 'A page of who did what, the latest first',
      access: 'admin',
      query: api.auditList,
      answers: { 200: api.auditPage },
      handle: (input) => listResource(auditLog, cursors, input),
    }),
    ...(['csv', 'ndjson'] as const).map((format) =>
      tenantRoute({
        method: 'GET',
        path: `/audit-log.${format}`,
        summary: `All of who did what, the earliest first, as ${format.toUpperCase()}`,
        access: 'admin',
        rate: 'costly',
        answers: { 200: null },
        handle: (input) => exportLog(input, format),
      }),
    ),
  ]
}

/** Line by line, as fast as the caller reads. */
async function exportLog({ tenant, reply }: InTenant, format: keyof typeof formats) {
  const { type, begin, write } = formats[format]
  const text = `select ${columns.join(', ')} from audit_log order by at, id`
  const lines = tenant.stream(text, [], { batchSize: limits.auditBatch })
  const first = await lines.next()
  async function* print() {
    yield begin
    if (first.done === true) return
    yield write(first.value)
    for await (const line of lines) yield write(line)
  }
  return reply
    .type(type)
    .header('content-disposition', `attachment; filename="audit-log.${format}"`)
    .send(Readable.from(print()))
}

function writeCsv(line: object): string {
  const values = columns.map((name) => Object(line)[name])
  return `${values.map((value) => (value instanceof Date ? value.toISOString() : quote(value))).join(',')}\n`
}

/** A spreadsheet takes what begins so for a formula. */
function quote(value: unknown): string {
  const text = String(value ?? '')
  return `"${(/^[=+@\t\r-]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`
}
