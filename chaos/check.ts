import type { Move } from '@quickscale/tenancy'
import pg from 'pg'
import { findLeftovers } from './leftovers.ts'
import { readHome } from './place.ts'
import type { ServerName } from './servers.ts'
import type { Home, Site, Subject } from './site.ts'
import { rowText, type Writer } from './writer.ts'

/** Something that is not as it should be after a run. */
export interface Finding {
  readonly kind: 'broken' | 'leftover' | 'lost' | 'doubled' | 'foreign' | 'error'
  readonly what: string
}

export interface Homes {
  readonly from: Home
  readonly to: Home
}

/** Compares what the databases say with what the application knows; as the administrator, past the library. */
export async function checkRun(
  site: Site,
  subject: Subject,
  homes: Homes,
  move: Move | null,
  clients: readonly Writer[],
  mayFail: boolean,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const add = (kind: Finding['kind'], whats: readonly string[]) =>
    findings.push(...whats.map((what) => ({ kind, what })))
  const home = await readHome(site, subject)
  const wanted = move?.state === 'done' ? homes.to : homes.from
  if (home.strategy !== wanted.strategy || home.server !== wanted.server) {
    add('broken', [`the move is ${move?.state}, and the tenant is under ${home.strategy} on ${home.server}`])
  }
  for (const each of [subject, ...site.neighbours]) {
    const place = each === subject ? home : await readHome(site, each)
    const { lost, doubled, foreign } = each.ledger.compare(await readRows(site, each, place))
    const named = (what: string) => `${each.key}: ${what}`
    if (each === subject) {
      add('lost', lost.map(named))
      add('doubled', doubled.map(named))
      add('foreign', foreign.map(named))
    } else add('foreign', [...lost, ...doubled, ...foreign].map(named))
  }
  add(
    'lost',
    clients.flatMap(({ missed }) => missed),
  )
  if (!mayFail)
    add(
      'error',
      clients.flatMap(({ errors }) => errors.map(String)),
    )
  const left = await findLeftovers(site, subject, home)
  add('broken', left.broken)
  add('leftover', left.leftovers)
  return findings
}

async function readRows(
  site: Site,
  { id }: Subject,
  { server, database, schema }: { server: ServerName; database: string; schema: string },
): Promise<{ id: number; value: string }[]> {
  const { rows } = await site.inside(server, database, (client) =>
    client.query<{ id: number; body: string; attachment: string | null }>(
      `select id, body, attachment from ${pg.escapeIdentifier(schema)}.item where tenant_id = $1`,
      [id],
    ),
  )
  return rows.map((row) => ({ id: row.id, value: rowText(row.body, row.attachment) }))
}
